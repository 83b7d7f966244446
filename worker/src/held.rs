//! The runs this worker holds, and the way to reach the one that drives each.

use std::collections::BTreeMap;

use neena_engine::ids::{ClaimId, RunId};
use parking_lot::Mutex;
use tokio::sync::mpsc;
use tokio::time::Instant;

use crate::drive::Note;

/// The runs under way in this process.
#[derive(Debug, Default)]
pub(crate) struct HeldRuns(Mutex<BTreeMap<RunId, Hold>>);

/// One run under way.
#[derive(Clone, Debug)]
pub(crate) struct Hold {
    pub claim: ClaimId,
    /// The newest `inbox_seq` its driver was told of.
    pub seen: i64,
    /// Until when it looks as if it might bring the worker down; none if it never did.
    pub suspect_until: Option<Instant>,
    pub notes: mpsc::Sender<Note>,
}

impl HeldRuns {
    /// Takes a run in. An older copy of it is displaced; the caller must tell it.
    pub fn insert(&self, run: RunId, hold: Hold) -> Option<Hold> {
        self.0.lock().insert(run, hold)
    }

    /// Lets a run go, if it is still held under `claim`.
    pub fn remove(&self, run: RunId, claim: ClaimId) {
        let mut runs = self.0.lock();
        if runs.get(&run).is_some_and(|hold| hold.claim == claim) {
            runs.remove(&run);
        }
    }

    pub fn get(&self, run: RunId) -> Option<Hold> {
        self.0.lock().get(&run).cloned()
    }

    /// Everything held now.
    pub fn all(&self) -> Vec<(RunId, Hold)> {
        self.0
            .lock()
            .iter()
            .map(|(run, hold)| (*run, hold.clone()))
            .collect()
    }

    /// The driver of `run` has seen the inbox up to `seen`.
    pub fn saw(&self, run: RunId, seen: i64) {
        if let Some(hold) = self.0.lock().get_mut(&run) {
            hold.seen = hold.seen.max(seen);
        }
    }

    /// The run has recorded something: it is no suspect any more.
    pub fn clear(&self, run: RunId, claim: ClaimId) {
        if let Some(hold) = self.0.lock().get_mut(&run)
            && hold.claim == claim
        {
            hold.suspect_until = None;
        }
    }

    /// Whether a run is held that may still bring the worker down.
    pub fn holds_suspect(&self) -> bool {
        let now = Instant::now();
        let runs = self.0.lock();
        runs.values()
            .any(|hold| hold.suspect_until.is_some_and(|until| now < until))
    }

    pub fn len(&self) -> usize {
        self.0.lock().len()
    }
}
