//! What a test may look at.

use std::sync::Arc;

use neena_engine::approval::{Ask, Subject};
use neena_engine::ids::RunId;
use neena_engine::run::{Attempt, LiveRun, Note, TaskRow, Vote};
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

    /// The votes on a run's plan, in order.
    pub fn votes(&self, run: RunId) -> Vec<Vote> {
        self.read(|state| state.votes_on(run, Subject::Run))
    }

    /// The votes on a run's plan or on a gate of it, in order.
    pub fn votes_on(&self, run: RunId, on: Subject) -> Vec<Vote> {
        self.read(|state| state.votes_on(run, on))
    }

    /// The gates of a run that were reached, in order.
    pub fn asked_gates(&self, run: RunId) -> Vec<Ask> {
        self.read(|state| {
            let all = state.asks.iter();
            let of_run = all.filter(|((of, on), _)| *of == run && *on != Subject::Run);
            of_run.map(|(_, ask)| ask.clone()).collect()
        })
    }

    /// What is asked about a run or a gate of it.
    pub fn ask(&self, run: RunId, on: Subject) -> Option<Ask> {
        self.read(|state| state.asks.get(&(run, on)).cloned())
    }

    /// What the decision log has of a run, oldest first.
    pub fn log(&self, run: RunId) -> Vec<Note> {
        self.read(|state| {
            let of_run = state.log.iter().filter(|(of, _)| *of == run);
            of_run.map(|(_, note)| note.clone()).collect()
        })
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
