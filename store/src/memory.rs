//! The store of the simulation: the same verbs over ordered maps, one thread's worth of truth. Its clock is
//! the runtime's, so that paused time is its time, and its ids are counted, so that a run repeats.

mod batch;
mod claims;
mod decisions;
mod keeping;
mod state;

use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use neena_engine::Micros;
use neena_engine::ids::{ClaimId, RunId, WorkerId};
use neena_engine::plan::Plan;
use neena_engine::run::{Attempt, History, Phase};
use parking_lot::Mutex;
use tokio::time::Instant;
use uuid::Uuid;

use crate::{
    Batch, Beat, Claim, Decided, Deciding, Held, Hosts, Member, Message, NewRun, Res, Store,
    StoreError, Verdict, Which, WorkerCard,
};
pub use state::RunState;
use state::State;

/// The database's time when a store is made.
const EPOCH: Micros = Micros(1_700_000_000_000_000);

/// Runs in memory.
#[derive(Debug)]
pub struct MemoryStore {
    state: Mutex<State>,
    start: Instant,
}

impl Default for MemoryStore {
    fn default() -> Self {
        MemoryStore {
            state: Mutex::default(),
            start: Instant::now(),
        }
    }
}

impl MemoryStore {
    /// An empty store.
    pub fn new() -> MemoryStore {
        MemoryStore::default()
    }

    /// Makes a run that waits for approval.
    pub fn insert_run(&self, new: &NewRun) {
        self.state.lock().insert_run(new);
    }

    /// A run's row.
    pub fn run(&self, run: RunId) -> Option<RunState> {
        self.state.lock().runs.get(&run).cloned()
    }

    /// A run's result.
    pub fn result(&self, run: RunId) -> Option<Arc<str>> {
        self.state.lock().results.get(&run).cloned()
    }

    /// A run's failed attempts and the outcomes of its earlier rounds, with their round.
    pub fn attempts(&self, run: RunId) -> Vec<(u32, Attempt)> {
        let state = self.state.lock();
        let of_run = state.attempts.iter().filter(|((of, ..), _)| *of == run);
        of_run
            .map(|((_, _, round, _), attempt)| (*round, attempt.clone()))
            .collect()
    }

    /// What is in the outbox, oldest first.
    pub fn outbox(&self) -> Vec<Message> {
        self.state
            .lock()
            .outbox
            .values()
            .map(|row| row.message.clone())
            .collect()
    }

    fn clock(&self) -> Micros {
        EPOCH.after(self.start.elapsed())
    }
}

#[async_trait]
impl Store for MemoryStore {
    async fn join(&self, card: &WorkerCard) -> Res<Micros> {
        let now = self.clock();
        self.state.lock().join(card, now);
        Ok(now)
    }

    async fn advertise(&self, worker: WorkerId, hosts: &Hosts) -> Res<()> {
        self.state.lock().advertise(worker, hosts);
        Ok(())
    }

    async fn roster(&self) -> Res<Vec<Member>> {
        Ok(self.state.lock().roster())
    }

    async fn beat(&self, worker: WorkerId, lease: Duration) -> Res<Beat> {
        let now = self.clock();
        Ok(self.state.lock().beat(worker, lease, now))
    }

    async fn leave(&self, worker: WorkerId) -> Res<()> {
        let now = self.clock();
        self.state.lock().leave(worker, now);
        Ok(())
    }

    async fn claim(&self, claim: &Claim, which: Which<'_>) -> Res<Vec<Held>> {
        Ok(self.state.lock().claim(claim, which))
    }

    async fn plan(&self, run: RunId) -> Res<Arc<Plan>> {
        let plan = self.state.lock().plans.get(&run).cloned();
        plan.ok_or_else(|| StoreError::Refused(format!("run {run} has no plan")))
    }

    async fn load(&self, run: RunId) -> Res<History> {
        let state = self.state.lock();
        let rows = state.tasks.iter().filter(|((of, _), _)| *of == run);
        Ok(History {
            rows: rows.map(|(_, row)| row.clone()).collect(),
        })
    }

    async fn reread(&self, run: RunId, claim: ClaimId) -> Res<Option<Held>> {
        let live = self.state.lock().live.get(&run).cloned();
        Ok(live
            .filter(|live| live.claim == Some(claim))
            .and_then(Held::of))
    }

    async fn current(&self, claims: &[(RunId, i64)]) -> Res<Vec<bool>> {
        let state = self.state.lock();
        let stands = |(run, epoch): &(RunId, i64)| {
            let live = state.live.get(run);
            live.is_some_and(|live| live.phase == Phase::Running && live.epoch == *epoch)
        };
        Ok(claims.iter().map(stands).collect())
    }

    async fn commit(&self, batch: &Batch) -> Res<Vec<Verdict>> {
        let now = self.clock();
        let mut state = self.state.lock();
        Ok(batch
            .entries
            .iter()
            .map(|entry| state.commit(entry, now))
            .collect())
    }

    async fn decide(&self, deciding: &Deciding) -> Res<Decided> {
        let now = self.clock();
        Ok(self.state.lock().decide(deciding, now))
    }

    async fn wake(&self, limit: u16) -> Res<Vec<Message>> {
        let now = self.clock();
        Ok(self.state.lock().wake(limit, now))
    }

    async fn due_within(&self, time: Duration, limit: u16) -> Res<Vec<Micros>> {
        let until = self.clock().after(time);
        Ok(self.state.lock().due_by(until, limit))
    }

    async fn bury(&self, limit: u16) -> Res<Vec<Message>> {
        let now = self.clock();
        Ok(self.state.lock().bury(limit, now))
    }

    async fn bury_all(&self) -> Res<Vec<Message>> {
        let now = self.clock();
        Ok(self.state.lock().bury_all(now))
    }

    async fn outbox_take(&self, limit: u16) -> Res<Vec<Message>> {
        let now = self.clock();
        Ok(self.state.lock().outbox_take(limit, now))
    }

    async fn outbox_done(&self, ids: &[Uuid]) -> Res<()> {
        let mut state = self.state.lock();
        for id in ids {
            state.outbox.remove(id);
        }
        Ok(())
    }

    async fn now(&self) -> Res<Micros> {
        Ok(self.clock())
    }
}
