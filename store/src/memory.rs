//! The store of the simulation: the same verbs over ordered maps, one thread's worth of truth. Its clock is
//! the runtime's, so that paused time is its time, and its ids are counted, so that a run repeats. It can be
//! told to crash, and to have a bug.

mod batch;
mod claims;
mod decisions;
mod disk;
mod flaw;
mod keeping;
mod look;
mod state;

use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use neena_engine::Micros;
use neena_engine::approval::Ask;
use neena_engine::ids::{ClaimId, OrganizationId, RunId, WorkerId};
use neena_engine::plan::Plan;
use neena_engine::run::{History, Phase, Vote};
use parking_lot::Mutex;
use tokio::time::Instant;
use uuid::Uuid;

use crate::{
    Batch, Beat, Census, Claim, Decided, Deciding, Held, Hosts, Lapsed, Member, Message, NewRun,
    Res, Store, StoreError, Verdict, Which, WorkerCard,
};
use disk::Tables;
pub use flaw::Flaw;
use state::State;
pub use state::{Delegation, RunState};

/// The database's time when a store is made.
const EPOCH: Micros = Micros(1_700_000_000_000_000);

/// Runs in memory.
#[derive(Debug)]
pub struct MemoryStore {
    tables: Mutex<Tables>,
    start: Instant,
}

impl Default for MemoryStore {
    fn default() -> Self {
        MemoryStore {
            tables: Mutex::default(),
            start: Instant::now(),
        }
    }
}

impl MemoryStore {
    /// An empty store.
    pub fn new() -> MemoryStore {
        MemoryStore::default()
    }

    /// An empty store that can crash, and has this bug.
    pub fn that_crashes(flaw: Option<Flaw>) -> MemoryStore {
        let state = State {
            flaw,
            ..State::default()
        };
        MemoryStore {
            tables: Mutex::new(Tables::on_disk(state)),
            start: Instant::now(),
        }
    }

    /// The database crashes: of the lazy commits since the last durable one the first few stay, as many as
    /// `keep` says of their number. How many are lost.
    pub fn crash(&self, keep: impl FnOnce(usize) -> usize) -> usize {
        self.tables.lock().crash(keep)
    }

    /// Makes a run that waits for approval.
    pub fn insert_run(&self, new: &NewRun) {
        let new = new.clone();
        let now = self.clock();
        self.commit(true, move |state| state.insert_run(&new, now));
    }

    /// Makes people the members of a group.
    pub fn group(&self, organization: OrganizationId, name: &str, members: &[&str]) {
        let members: Vec<String> = members.iter().map(|email| email.to_lowercase()).collect();
        let key = (organization, name.to_owned());
        self.commit(true, move |state| {
            state.groups.insert(key.clone(), members.clone());
        });
    }

    /// Lends a place.
    pub fn delegate(&self, lent: Delegation) {
        self.commit(true, move |state| state.delegations.push(lent.clone()));
    }

    /// A decision by these votes, instead of those that stand now: what a store would do that reads
    /// them before it locks the run.
    pub fn decide_by(&self, deciding: &Deciding, votes: Vec<Vote>) -> Decided {
        let (now, deciding) = (self.clock(), deciding.clone());
        self.commit(true, move |state| {
            state.decide(&deciding, Some(votes.clone()), now)
        })
    }

    fn clock(&self) -> Micros {
        EPOCH.after(self.start.elapsed())
    }

    fn commit<T>(&self, durable: bool, change: impl Fn(&mut State) -> T + Send + 'static) -> T {
        self.tables.lock().commit(durable, change)
    }

    fn lazily<T>(&self, change: impl Fn(&mut State) -> T + Send + 'static) -> T {
        self.commit(false, change)
    }

    fn read<T>(&self, look: impl FnOnce(&State) -> T) -> T {
        look(&self.tables.lock().state)
    }
}

#[async_trait]
impl Store for MemoryStore {
    async fn join(&self, card: &WorkerCard) -> Res<Micros> {
        let (now, card) = (self.clock(), card.clone());
        let durable = !self.read(|state| state.has(Flaw::JoinsLazily));
        self.commit(durable, move |state| state.join(&card, now));
        Ok(now)
    }

    async fn advertise(&self, worker: WorkerId, hosts: &Hosts) -> Res<()> {
        let hosts = hosts.clone();
        self.commit(true, move |state| state.advertise(worker, &hosts));
        Ok(())
    }

    async fn roster(&self) -> Res<Vec<Member>> {
        Ok(self.read(State::roster))
    }

    async fn beat(&self, worker: WorkerId, lease: Duration) -> Res<Beat> {
        let now = self.clock();
        Ok(self.lazily(move |state| state.beat(worker, lease, now)))
    }

    async fn leave(&self, worker: WorkerId) -> Res<()> {
        let now = self.clock();
        self.commit(true, move |state| state.leave(worker, now));
        Ok(())
    }

    async fn claim(&self, claim: &Claim, which: Which<'_>) -> Res<Vec<Held>> {
        let claim = *claim;
        Ok(match which {
            Which::Named(runs) => {
                let runs = runs.to_vec();
                self.lazily(move |state| state.claim(&claim, Which::Named(&runs)))
            }
            Which::Next(most) => self.lazily(move |state| state.claim(&claim, Which::Next(most))),
        })
    }

    async fn plan(&self, run: RunId) -> Res<Arc<Plan>> {
        let plan = self.read(|state| state.plans.get(&run).cloned());
        plan.ok_or_else(|| StoreError::Refused(format!("run {run} has no plan")))
    }

    async fn load(&self, run: RunId) -> Res<History> {
        Ok(History {
            rows: self.tasks(run),
            asks: self.asked_gates(run),
        })
    }

    async fn reread(&self, run: RunId, claim: ClaimId) -> Res<Option<Held>> {
        Ok(self
            .live(run)
            .filter(|live| live.claim == Some(claim))
            .and_then(Held::of))
    }

    async fn current(&self, claims: &[(RunId, i64)]) -> Res<Vec<bool>> {
        let stands = |(run, epoch): &(RunId, i64)| {
            self.live(*run)
                .is_some_and(|live| live.phase == Phase::Running && live.epoch == *epoch)
        };
        Ok(claims.iter().map(stands).collect())
    }

    async fn commit(&self, batch: &Batch) -> Res<Vec<Verdict>> {
        let now = self.clock();
        let lies = self.read(|state| state.has(Flaw::DurableIsLazy));
        let entries = batch.entries.clone();
        Ok(self.commit(batch.durable && !lies, move |state| {
            let entries = entries.iter();
            entries.map(|entry| state.commit(entry, now)).collect()
        }))
    }

    async fn decide(&self, deciding: &Deciding) -> Res<Decided> {
        let (now, deciding) = (self.clock(), deciding.clone());
        Ok(self.commit(true, move |state| state.decide(&deciding, None, now)))
    }

    async fn gates(&self, run: RunId) -> Res<Vec<Ask>> {
        Ok(self.asked_gates(run))
    }

    async fn lapsed(&self, limit: u16) -> Res<Vec<Lapsed>> {
        let now = self.clock();
        Ok(self.read(|state| state.lapsed(limit, now)))
    }

    async fn wake(&self, limit: u16) -> Res<Vec<Message>> {
        let now = self.clock();
        Ok(self.lazily(move |state| state.wake(limit, now)))
    }

    async fn due_within(&self, time: Duration, limit: u16) -> Res<Vec<Micros>> {
        let until = self.clock().after(time);
        Ok(self.read(|state| state.due_by(until, limit)))
    }

    async fn bury(&self, limit: u16) -> Res<Vec<Message>> {
        let now = self.clock();
        let durable = self.read(|state| state.any_lapsed(now));
        Ok(self.commit(durable, move |state| state.bury(limit, now)))
    }

    async fn bury_all(&self) -> Res<Vec<Message>> {
        let now = self.clock();
        Ok(self.commit(true, move |state| state.bury_all(now)))
    }

    async fn outbox_take(&self, limit: u16) -> Res<Vec<Message>> {
        let now = self.clock();
        Ok(self.lazily(move |state| state.outbox_take(limit, now)))
    }

    async fn outbox_done(&self, ids: &[Uuid]) -> Res<()> {
        let ids = ids.to_vec();
        self.lazily(move |state| ids.iter().for_each(|id| drop(state.outbox.remove(id))));
        Ok(())
    }

    async fn census(&self) -> Res<Census> {
        Ok(self.read(State::census))
    }

    async fn now(&self) -> Res<Micros> {
        Ok(self.clock())
    }
}
