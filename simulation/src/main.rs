//! `neena-simulate`: as many seeds as asked for, on all cores, or one of them to be looked at.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::{Duration, Instant};

use anyhow::{Context, bail};
use clap::Parser;
use neena_simulation::{Bug, Options, Tracing, simulate};
use parking_lot::Mutex;

/// Simulates whole workers with everything that can go wrong, seed after seed.
#[derive(Parser, Debug)]
struct Arguments {
    /// How many seeds.
    #[arg(long, default_value_t = 100_000)]
    seeds: u64,
    /// The first of them.
    #[arg(long, default_value_t = 1)]
    from: u64,
    /// Only this one.
    #[arg(long)]
    seed: Option<u64>,
    /// Print what happens, line by line.
    #[arg(long, requires = "seed")]
    trace: bool,
    /// Plant a bug.
    #[arg(long, value_parser = bug)]
    bug: Option<Bug>,
    /// Threads; by default one for each core.
    #[arg(long)]
    threads: Option<usize>,
    /// Stop after so many seconds, whatever is left.
    #[arg(long)]
    seconds: Option<u64>,
}

fn bug(name: &str) -> Result<Bug, String> {
    Bug::named(name).ok_or_else(|| {
        let names: Vec<&str> = Bug::ALL.iter().map(|(name, _)| *name).collect();
        format!("there are: {}", names.join(", "))
    })
}

/// What all threads count together.
#[derive(Default)]
struct Count {
    next: AtomicU64,
    done: AtomicU64,
    simulated_ms: AtomicU64,
    faults: Mutex<BTreeMap<&'static str, u64>>,
    broken: Mutex<Vec<(u64, String)>>,
    enough: AtomicBool,
}

fn main() -> anyhow::Result<()> {
    let arguments = Arguments::parse();
    match arguments.seed {
        Some(seed) => one(seed, &arguments),
        None => many(&arguments),
    }
}

fn one(seed: u64, arguments: &Arguments) -> anyhow::Result<()> {
    let tracing = match arguments.trace {
        true => Tracing::Lines,
        false => Tracing::Hash,
    };
    let options = Options {
        bug: arguments.bug,
        tracing,
    };
    let ended = simulate(seed, options).context("no runtime")?;
    println!("trace {:016x}, {} ms", ended.hash, ended.simulated_ms);
    match ended.broken {
        Some(broken) => bail!("seed {seed}: {broken}"),
        None => Ok(()),
    }
}

fn many(arguments: &Arguments) -> anyhow::Result<()> {
    let start = Instant::now();
    let cores = std::thread::available_parallelism().map_or(1, usize::from);
    let threads = arguments.threads.unwrap_or(cores).max(1);
    let until = arguments
        .seconds
        .map(|seconds| start + Duration::from_secs(seconds));
    let count = Count::default();
    std::thread::scope(|scope| {
        for _ in 0..threads {
            scope.spawn(|| work(arguments, &count));
        }
        while count.done.load(Ordering::Relaxed) < arguments.seeds
            && !count.enough.load(Ordering::Relaxed)
        {
            std::thread::sleep(Duration::from_millis(200));
            if until.is_some_and(|until| Instant::now() >= until) {
                count.enough.store(true, Ordering::Relaxed);
            }
            progress(&count, arguments.seeds, start);
        }
    });
    eprintln!();
    report(&count, start);
    let broken = count.broken.lock();
    for (seed, what) in broken.iter() {
        println!("\nseed {seed} broke an invariant: {what}");
        println!("see it again: neena-simulate --seed {seed} --trace");
    }
    match broken.len() {
        0 => Ok(()),
        failed => bail!("{failed} seeds failed"),
    }
}

fn work(arguments: &Arguments, count: &Count) {
    let options = Options {
        bug: arguments.bug,
        tracing: Tracing::Off,
    };
    loop {
        let number = count.next.fetch_add(1, Ordering::Relaxed);
        if number >= arguments.seeds || count.enough.load(Ordering::Relaxed) {
            return;
        }
        let seed = arguments.from + number;
        match simulate(seed, options) {
            Ok(ended) => {
                let simulated = &count.simulated_ms;
                simulated.fetch_add(ended.simulated_ms, Ordering::Relaxed);
                {
                    let mut faults = count.faults.lock();
                    for (fault, times) in ended.faults {
                        *faults.entry(fault).or_default() += times;
                    }
                }
                if let Some(broken) = ended.broken {
                    let mut all = count.broken.lock();
                    all.push((seed, broken));
                    // A few tell as much as many.
                    if all.len() >= 5 {
                        count.enough.store(true, Ordering::Relaxed);
                    }
                }
            }
            Err(error) => count.broken.lock().push((seed, error.to_string())),
        }
        count.done.fetch_add(1, Ordering::Relaxed);
    }
}

fn progress(count: &Count, seeds: u64, start: Instant) {
    let done = count.done.load(Ordering::Relaxed);
    let rate = done as f64 / start.elapsed().as_secs_f64();
    let broken = count.broken.lock().len();
    eprint!("\r{done} of {seeds} seeds, {rate:.0} a second, {broken} failed ");
}

fn report(count: &Count, start: Instant) {
    let done = count.done.load(Ordering::Relaxed);
    let took = start.elapsed().as_secs_f64();
    let hours = count.simulated_ms.load(Ordering::Relaxed) as f64 / 3_600_000.0;
    println!(
        "{done} seeds in {took:.0} s ({:.0} a second), {hours:.0} hours simulated",
        done as f64 / took
    );
    for (fault, times) in count.faults.lock().iter() {
        println!("{times:>12} {fault}");
    }
}
