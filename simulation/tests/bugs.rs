//! A simulation that notices nothing proves nothing: each planted bug is noticed within a few seeds, which hold
//! without it.

use neena_simulation::{Bug, Options, simulate};

/// Seeds until each bug must have been noticed.
const MOST: u64 = 300;

/// Some bugs show in one seed of many only: the search for these begins at one that shows them, and finds
/// another one should the simulation have changed since.
const RARE: [(&str, u64); 5] = [
    ("asks-unfenced", 434),
    ("joins-lazily", 385),
    ("lazy-goes-on", 457),
    ("outcomes-replaced", 73),
    ("reconnects-silently", 303),
];
/// Seeds until a rare one must have been noticed.
const MOST_OF_RARE: u64 = 2_000;

/// What is noticed, by the words of the invariant.
fn noticed(name: &str) -> (u64, String) {
    let bug = Bug::named(name).unwrap();
    let options = Options {
        bug: Some(bug),
        ..Options::default()
    };
    let rare = RARE.iter().find(|(rare, _)| *rare == name);
    let (from, most) = rare.map_or((1, MOST), |(_, from)| (*from, MOST_OF_RARE));
    (from..from + most)
        .find_map(|seed| Some((seed, simulate(seed, options).unwrap().broken?)))
        .unwrap_or_else(|| panic!("{name} was not noticed in {most} seeds"))
}

macro_rules! bugs {
    ($($test:ident: $name:literal breaks $words:literal;)*) => {$(
        #[test]
        fn $test() {
            let (seed, broken) = noticed($name);
            assert!(
                $words.split(" | ").any(|words| broken.contains(words)),
                "seed {seed}: {broken}"
            );
        }
    )*

        #[test]
        fn every_planted_bug_has_its_test() {
            let tested = [$($name),*];
            for (name, _) in Bug::ALL {
                assert!(tested.contains(&name), "{name}");
            }
        }
    };
}

bugs! {
    a_missing_fence_is_noticed: "no-fence" breaks "under the old claim";
    replaced_outcomes_are_noticed: "outcomes-replaced" breaks "was changed";
    parking_blindly_is_noticed: "parks-blindly" breaks "in phase parked | it parks although";
    finishing_blindly_is_noticed: "finishes-blindly" breaks "it was cancelled and became";
    claiming_owned_runs_is_noticed: "claims-owned" breaks "although it had an owner";
    an_epoch_that_stays_is_noticed: "epoch-not-raised" breaks "epoch";
    claims_that_are_not_counted_are_noticed: "claims-not-counted" breaks "brought down";
    a_claim_that_outlives_its_owner_is_noticed: "claim-outlives-owner" breaks "owner None, claim Some";
    a_retry_that_keeps_rows_is_noticed: "retry-keeps-rows" breaks "began with task";
    answers_before_the_disk_are_noticed: "durable-is-lazy" breaks "durably recorded | before that was recorded";
    a_message_outside_the_commit_is_noticed: "outbox-left-out" breaks "without its message";
    a_lease_that_never_lapses_is_noticed: "never-buries" breaks "does not come to rest";
    a_timer_that_never_rings_is_noticed: "never-wakes" breaks "does not come to rest";
    a_table_that_nobody_reads_is_noticed: "table-not-read" breaks "does not come to rest";
    a_live_row_that_stays_is_noticed: "live-row-stays" breaks "in phase";
    a_worker_that_joins_lazily_is_noticed: "joins-lazily" breaks "does not come to rest";
    questions_outside_the_fence_are_noticed: "asks-unfenced" breaks "under the old claim | appeared | asked about";
    gates_that_are_not_read_are_noticed: "gates-not-read" breaks "it parks although";
    gates_that_are_forgotten_are_noticed: "gates-forgotten" breaks "it parks although | does not come to rest";
    votes_that_are_not_enough_are_noticed: "votes-count-as-answers" breaks "before its gate was approved";
    votes_read_before_the_lock_are_noticed: "votes-before-lock" breaks "all votes it needs";
    a_cancel_that_is_not_told_is_noticed: "cancel-not-told" breaks "after its run had been cancelled";
    forgotten_starts_are_noticed: "starts-forgotten" breaks "began twice | is left as";
    lost_signals_are_noticed: "signals-lost" breaks "does not come to rest";
    publishing_before_the_commit_is_noticed: "published-before-commit" breaks "before it was committed";
    confirms_without_a_broker_are_noticed: "confirmed-unpublished" breaks "never published";
    effects_that_run_ahead_are_noticed: "effects-run-ahead" breaks "durably recorded";
    lazy_commits_without_those_before_are_noticed: "lazy-goes-on" breaks "without its input";
    a_silent_reconnect_is_noticed: "reconnects-silently" breaks "without its input | is left as | never ended | durably recorded | not made of | it parks although";
}
