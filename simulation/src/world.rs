//! One world: a database, a broker, processes and people, on one thread and one clock that only moves when
//! nothing else does.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use neena_store::MemoryStore;
use parking_lot::Mutex;
use tokio::time::Instant;

use crate::broker::Broker;
use crate::bug::Bug;
use crate::checker::{Broken, Checker};
use crate::dice::Dice;
use crate::node::Node;
use crate::trace::{Trace, Tracing};
use crate::weather::Weather;

/// What all parts of a world share.
#[derive(Debug)]
pub(crate) struct World {
    pub seed: u64,
    pub bug: Option<Bug>,
    /// The luck of incidents and people; each process has its own.
    pub dice: Dice,
    pub store: Arc<MemoryStore>,
    pub checker: Mutex<Checker>,
    pub broker: Broker,
    pub condition: Mutex<Condition>,
    /// The processes, by place: some work, some answer people.
    pub workers: Mutex<Vec<Option<Arc<Node>>>>,
    pub servers: Mutex<Vec<Option<Arc<Node>>>>,
    start: Instant,
    trace: Mutex<Trace>,
    tally: Mutex<BTreeMap<&'static str, u64>>,
    broken: Mutex<Option<String>>,
    processes: AtomicU64,
    nonce: AtomicU64,
}

/// How the database and the whole world do.
#[derive(Debug, Default)]
pub(crate) struct Condition {
    pub weather: Weather,
    /// Faults have stopped for good.
    pub calm: bool,
    pub database_down: bool,
    pub disk_full: bool,
    pub database_slow: bool,
    /// How often the database crashed.
    pub crashes: u64,
}

impl World {
    pub fn new(seed: u64, bug: Option<Bug>, tracing: Tracing) -> Arc<World> {
        let dice = Dice::new(seed, 0);
        let store = Arc::new(MemoryStore::that_crashes(bug.and_then(Bug::flaw)));
        let weather = Weather::of(&dice);
        Arc::new(World {
            seed,
            bug,
            dice,
            checker: Mutex::new(Checker::new(store.clone())),
            store,
            broker: Broker::new(),
            condition: Mutex::new(Condition {
                weather,
                ..Condition::default()
            }),
            workers: Mutex::default(),
            servers: Mutex::default(),
            start: Instant::now(),
            trace: Mutex::new(Trace::new(tracing)),
            tally: Mutex::default(),
            broken: Mutex::default(),
            processes: AtomicU64::new(0),
            nonce: AtomicU64::new(0),
        })
    }

    /// Whether this bug was planted.
    pub fn has(&self, bug: Bug) -> bool {
        self.bug == Some(bug)
    }

    /// The number of the next process.
    pub fn next_process(&self) -> u64 {
        self.processes.fetch_add(1, Ordering::Relaxed) + 1
    }

    /// A number that is new each time.
    pub fn nonce(&self) -> u64 {
        self.nonce.fetch_add(1, Ordering::Relaxed) + 1
    }

    /// Milliseconds since the beginning.
    pub fn elapsed(&self) -> u64 {
        u64::try_from(self.start.elapsed().as_millis()).unwrap_or(u64::MAX)
    }

    /// Something happened.
    pub fn note(&self, line: impl FnOnce() -> String) {
        let mut trace = self.trace.lock();
        if trace.is_on() {
            let line = format!("{:>7} {}", self.elapsed(), line());
            trace.add(&line);
        }
    }

    /// A fault was injected.
    pub fn tally(&self, fault: &'static str) {
        *self.tally.lock().entry(fault).or_default() += 1;
    }

    /// Keeps the first invariant that broke.
    pub fn held(&self, invariant: Broken) {
        if let Err(what) = invariant {
            self.note(|| format!("BROKEN {what}"));
            self.broken.lock().get_or_insert(what);
        }
    }

    pub fn is_broken(&self) -> bool {
        self.broken.lock().is_some()
    }

    pub fn is_calm(&self) -> bool {
        self.condition.lock().calm
    }

    /// What came of it. Its processes go: they hold the world as it holds them, and neither would ever be freed.
    pub fn end(&self) -> Ended {
        drop(std::mem::take(&mut *self.workers.lock()));
        drop(std::mem::take(&mut *self.servers.lock()));
        Ended {
            broken: self.broken.lock().take(),
            simulated_ms: self.elapsed(),
            faults: std::mem::take(&mut self.tally.lock()),
            hash: self.trace.lock().hash(),
        }
    }
}

/// What came of a world.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Ended {
    /// The first invariant that was broken.
    pub broken: Option<String>,
    /// How long it lasted, by its own clock.
    pub simulated_ms: u64,
    /// Faults that were injected, and things done on the way, by kind.
    pub faults: BTreeMap<&'static str, u64>,
    /// Of all that happened, in order; only where it was traced.
    pub hash: u64,
}
