//! The invariants, held against every change of a run as it is committed, and against every start of an effect.

mod effects;
mod end;
mod gates;
mod transitions;

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use neena_engine::Micros;
use neena_engine::approval::Ask;
use neena_engine::ids::{ClaimId, RunId};
use neena_engine::run::{LiveRun, TaskRow};
use neena_store::memory::RunState;
use neena_store::{MemoryStore, Message};

use crate::flow::Flow;

/// Who changed a run.
#[derive(Clone, Copy, Debug)]
pub(crate) enum By {
    /// Its owner, or who thinks to be that.
    Owner(ClaimId),
    /// A worker that claimed it.
    Claim(ClaimId),
    /// Somebody who asked for a new round.
    Retry,
    /// Somebody else who decided.
    Decision,
    /// A keeper.
    Keeper,
    /// A worker that left.
    Leaver,
    /// A crash of the database: what was lazily committed may be gone.
    Crash,
}

/// A run, as it was after the last change.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Seen {
    run: RunState,
    live: Option<LiveRun>,
    tasks: BTreeMap<u32, TaskRow>,
    result: Option<Arc<str>>,
    /// Its gates that were reached.
    asks: Vec<Ask>,
}

/// What the checker remembers.
#[derive(Debug)]
pub(crate) struct Checker {
    store: Arc<MemoryStore>,
    pub flows: BTreeMap<RunId, Arc<Flow>>,
    seen: BTreeMap<RunId, Seen>,
    /// Commits so far.
    commits: u64,
    /// The commit that cancelled a run's present round.
    cancelled: BTreeMap<RunId, u64>,
    /// The commits that made and ended each hold; none while it lasts.
    holds: BTreeMap<Hold, (u64, Option<u64>)>,
    /// The commit that made a task's outcome durable, and outcomes that are not yet.
    durable: BTreeMap<(RunId, u32), u64>,
    lazy: Vec<(RunId, u32)>,
    /// Attempts of tasks that must not be repeated.
    begun_once: BTreeSet<(RunId, u32, u32)>,
    /// A run's claims that count, in order: since it last made progress or was let go; and whether it brought
    /// down who claimed it.
    counting: BTreeMap<RunId, Vec<(ClaimId, bool)>>,
    /// What was committed to be told, by what it says; and what was told.
    told: BTreeSet<Told>,
    owed: BTreeMap<uuid::Uuid, Told>,
    /// Who approved a gate, and in which rounds it was asked about, and when.
    votes: BTreeMap<(RunId, u32), BTreeSet<u128>>,
    asked: BTreeMap<(RunId, u32, u32), Micros>,
    /// Approvals that were answered.
    pub approved: BTreeMap<RunId, BTreeSet<u128>>,
}

/// A run under one claim.
type Hold = (RunId, ClaimId);

/// What a message says: kind, run and epoch.
type Told = (String, RunId, i64);

/// An invariant that was broken, in words.
pub(crate) type Broken = Result<(), String>;

impl Checker {
    pub fn new(store: Arc<MemoryStore>) -> Checker {
        Checker {
            store,
            flows: BTreeMap::new(),
            seen: BTreeMap::new(),
            commits: 0,
            cancelled: BTreeMap::new(),
            holds: BTreeMap::new(),
            durable: BTreeMap::new(),
            lazy: Vec::new(),
            begun_once: BTreeSet::new(),
            counting: BTreeMap::new(),
            told: BTreeSet::new(),
            owed: BTreeMap::new(),
            votes: BTreeMap::new(),
            asked: BTreeMap::new(),
            approved: BTreeMap::new(),
        }
    }

    /// A run was made.
    pub fn made(&mut self, run: RunId, flow: Arc<Flow>) {
        self.flows.insert(run, flow);
        if let Some(now) = self.look(run) {
            self.seen.insert(run, now);
        }
    }

    fn look(&self, run: RunId) -> Option<Seen> {
        let tasks = self.store.tasks(run).into_iter();
        Some(Seen {
            run: self.store.run(run)?,
            live: self.store.live(run),
            tasks: tasks.map(|row| (row.key.index, row)).collect(),
            result: self.store.result(run),
            asks: self.store.asked_gates(run),
        })
    }

    /// A commit was made.
    pub fn commit(&mut self) {
        self.commits += 1;
    }

    /// A durable commit was made: all before it are durable, too.
    pub fn durably(&mut self) {
        for key in std::mem::take(&mut self.lazy) {
            self.durable.entry(key).or_insert(self.commits);
        }
    }

    /// All runs, by id.
    pub fn runs(&self) -> Vec<RunId> {
        self.flows.keys().copied().collect()
    }

    /// These messages were committed.
    pub fn committed(&mut self, messages: &[Message], durable: bool) -> Broken {
        for message in messages {
            let told = (message.kind.clone(), message.run, message.epoch);
            self.told.insert(told.clone());
            if durable {
                self.owed.insert(message.id, told);
            }
            if durable && !self.store.is_in_outbox(message.id) {
                return Err(format!(
                    "{} of run {} was committed without its message in the outbox",
                    message.kind, message.run
                ));
            }
        }
        Ok(())
    }

    /// The broker took a message.
    pub fn published(&mut self, message: &Message) -> Broken {
        self.owed.remove(&message.id);
        let told = (message.kind.clone(), message.run, message.epoch);
        match self.told.contains(&told) {
            true => Ok(()),
            false => Err(format!(
                "{} of run {} was published before it was committed",
                message.kind, message.run
            )),
        }
    }

    /// Whether an outcome is committed that is not durable yet.
    pub fn risks_outcomes(&self) -> bool {
        !self.lazy.is_empty()
    }

    /// The database crashed.
    pub fn crashed(&mut self) -> Broken {
        self.lazy.clear();
        for run in self.runs() {
            self.changed(run, By::Crash, &[])?;
        }
        Ok(())
    }
}
