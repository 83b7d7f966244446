//! Some hundred seeds, and the promise that a seed repeats. What seeds once found is a planted bug now: a seed
//! tells another story as soon as the simulation changes.

use neena_simulation::{Options, Tracing, simulate};

fn holds(seeds: impl IntoIterator<Item = u64>) {
    for seed in seeds {
        let ended = simulate(seed, Options::default()).unwrap();
        assert_eq!(
            ended.broken, None,
            "see it again: neena-simulate --seed {seed} --trace"
        );
    }
}

#[test]
fn the_first_hundred_seeds_hold() {
    holds(1..=100);
}

#[test]
fn the_second_hundred_seeds_hold() {
    holds(101..=200);
}

#[test]
fn the_third_hundred_seeds_hold() {
    holds(201..=300);
}

#[test]
fn a_seed_repeats_to_the_last_word() {
    let options = Options {
        tracing: Tracing::Hash,
        ..Options::default()
    };
    let mut traces = std::collections::BTreeSet::new();
    for seed in 1..=50 {
        let first = simulate(seed, options).unwrap();
        assert_eq!(first, simulate(seed, options).unwrap(), "seed {seed}");
        traces.insert(first.hash);
    }
    assert_eq!(traces.len(), 50, "each seed has its own story");
}
