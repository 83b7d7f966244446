//! What a test may look at.

use std::sync::Arc;

use neena_engine::ids::RunId;
use neena_engine::run::{Attempt, LiveRun, TaskRow, Vote};
use uuid::Uuid;

use super::state::State;
use super::{MemoryStore, RunState};
use crate::Message;

impl MemoryStore {
    /// A run's row.
    pub fn run(&self, run: RunId) -> Option<RunState> {
        self.read(|state| state.runs.get(&run).cloned())
    }

    /// A run's live row.
    pub fn live(&self, run: RunId) -> Option<LiveRun> {
        self.read(|state| state.live.get(&run).cloned())
    }

    /// The rows of a run's tasks, by index.
    pub fn tasks(&self, run: RunId) -> Vec<TaskRow> {
        self.read(|state| tasks(state, run))
    }

    /// The rows of a run's tasks that a crash of the database would leave for certain.
    pub fn durable_tasks(&self, run: RunId) -> Vec<TaskRow> {
        tasks(self.tables.lock().durable(), run)
    }

    /// The votes on a run, in order.
    pub fn votes(&self, run: RunId) -> Vec<Vote> {
        self.read(|state| state.votes_on(run))
    }

    /// A run's result.
    pub fn result(&self, run: RunId) -> Option<Arc<str>> {
        self.read(|state| state.results.get(&run).cloned())
    }

    /// A run's failed attempts and the outcomes of its earlier rounds, with their round.
    pub fn attempts(&self, run: RunId) -> Vec<(u32, Attempt)> {
        self.read(|state| {
            let of_run = state.attempts.iter().filter(|((of, ..), _)| *of == run);
            of_run
                .map(|((_, _, round, _), attempt)| (*round, attempt.clone()))
                .collect()
        })
    }

    /// What is in the outbox, oldest first.
    pub fn outbox(&self) -> Vec<Message> {
        self.read(|state| {
            let rows = state.outbox.values();
            rows.map(|row| row.message.clone()).collect()
        })
    }

    /// Whether a message is in the outbox.
    pub fn is_in_outbox(&self, id: Uuid) -> bool {
        self.read(|state| state.outbox.contains_key(&id))
    }
}

fn tasks(state: &State, run: RunId) -> Vec<TaskRow> {
    let of_run = state.tasks.iter().filter(|((of, _), _)| *of == run);
    of_run.map(|(_, row)| row.clone()).collect()
}
