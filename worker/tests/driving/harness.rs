//! A worker, and everything it works with.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use neena_bus::{Bus, InProcess, Keeper, Relay};
use neena_engine::Micros;
use neena_engine::flow::OnFailure;
use neena_engine::ids::{FlowRequestId, OrganizationId, RunId, WorkerId};
use neena_engine::plan::Plan;
use neena_engine::run::{Decision, Phase, RunStatus, TaskRow, TaskStatus};
use neena_store::{
    Decided, Deciding, Hosts, Journal, MemoryStore, NewRun, Outlet, Res, Store, WorkerCard,
};
use neena_worker::executors::Executors;
use neena_worker::{DatabaseClock, Seams, Settings, Worker};
use tokio_util::sync::CancellationToken;
use uuid::Uuid;

pub use crate::plans::{Step, about, actor, approve, gate, gated, plan, plan_that, step};
use crate::scripted::Scripted;

pub struct World {
    pub store: Arc<MemoryStore>,
    pub bus: Arc<InProcess>,
    pub script: Arc<Scripted>,
    pub outlet: Outlet,
    journal: Journal,
    relay: Relay,
    stop: CancellationToken,
    runs: u128,
}

impl World {
    pub fn new() -> World {
        let store = Arc::new(MemoryStore::new());
        let bus = Arc::new(InProcess::new());
        let (outlet, relay) = Relay::start(store.clone(), bus.clone());
        let journal = Journal::start(store.clone(), outlet.clone());
        let stop = CancellationToken::new();
        let keeper = Keeper::new(store.clone(), outlet.clone(), Duration::from_secs(10));
        tokio::spawn(keeper.run(stop.clone()));
        World {
            store,
            bus,
            script: Scripted::new(),
            outlet,
            journal,
            relay,
            stop,
            runs: 0,
        }
    }

    pub async fn worker(&self, slots: usize) -> Worker {
        self.worker_with_grace(slots, 2).await
    }

    pub async fn worker_with_grace(&self, slots: usize, seconds: u64) -> Worker {
        let (store, journal) = (self.store.clone(), self.journal.clone());
        let worker = self.start(store, journal, slots, seconds).await;
        worker.unwrap()
    }

    /// A worker that sees the store through another one, if it can start.
    pub async fn worker_over(&self, store: Arc<dyn Store>) -> Res<Worker> {
        let journal = Journal::start(store.clone(), self.outlet.clone());
        self.start(store, journal, 4, 2).await
    }

    async fn start(
        &self,
        store: Arc<dyn Store>,
        journal: Journal,
        slots: usize,
        seconds: u64,
    ) -> Res<Worker> {
        let settings = Settings {
            name: "test".into(),
            slots,
            runs: 16,
            lease: Duration::from_secs(10),
            grace: Duration::from_secs(seconds),
        };
        let now = self.store.now().await.unwrap();
        let seams = Seams {
            store,
            bus: self.bus.clone(),
            tasks: None,
            journal,
            executors: Arc::new(Executors::with_python(self.script.clone())),
            clock: Arc::new(DatabaseClock::new(now)),
        };
        Worker::start(settings, seams).await
    }

    /// A worker that exchanges tasks with others, and runs what `script` says.
    pub async fn exchanging(&self, slots: usize, script: Arc<Scripted>) -> Worker {
        let settings = Settings {
            name: "test".into(),
            slots,
            runs: 16,
            lease: Duration::from_secs(10),
            grace: Duration::from_secs(2),
        };
        let now = self.store.now().await.unwrap();
        let seams = Seams {
            store: self.store.clone(),
            bus: self.bus.clone(),
            tasks: Some(self.bus.clone()),
            journal: self.journal.clone(),
            executors: Arc::new(Executors::with_python(script)),
            clock: Arc::new(DatabaseClock::new(now)),
        };
        Worker::start(settings, seams).await.unwrap()
    }

    /// Enters a worker into the roster that is driven by hand.
    pub async fn enrol(&self, id: WorkerId, integration: &str, digest: &str) {
        let card = WorkerCard {
            id,
            name: "by hand".into(),
            slots: 8,
            lease: Duration::from_secs(3_600),
            hosts: Hosts::from([(integration.to_owned(), vec![digest.to_owned()])]),
        };
        self.store.join(&card).await.unwrap();
    }

    /// Approves a waiting run.
    pub async fn approve(&self, run: RunId) {
        self.decide(run, approve()).await;
    }

    /// Approves a waiting run, and nobody hears of it.
    pub async fn approve_unheard(&self, run: RunId) {
        self.decide_unheard(run, approve()).await;
    }

    /// Decides, and nobody hears of it.
    pub async fn decide_unheard(&self, run: RunId, decision: Decision) {
        let deciding = Deciding {
            run,
            organization: OrganizationId(Uuid::nil()),
            decision,
            code_current: true,
        };
        let decided = self.store.decide(&deciding).await.unwrap();
        assert!(matches!(decided, Decided::Done { .. }), "{decided:?}");
    }

    /// Lets time pass until nobody owns the run, which waits for something.
    pub async fn parked(&self, run: RunId) {
        let phase = || self.store.live(run).map(|live| live.phase);
        self.until(|| phase() == Some(Phase::Parked)).await;
    }

    /// A run of these steps, approved.
    pub async fn run(&mut self, steps: &[Step]) -> RunId {
        let run = self.waiting(steps);
        self.decide(run, approve()).await;
        run
    }

    /// A run of these steps, approved, that may take ten seconds.
    pub async fn run_for_ten_seconds(&mut self, steps: &[Step]) -> RunId {
        let run = self.insert(plan(steps, Some(10_000)));
        self.decide(run, approve()).await;
        run
    }

    /// A run of these steps, approved, that goes on where a task fails.
    pub async fn run_that_goes_on(&mut self, steps: &[Step]) -> RunId {
        let run = self.insert(plan_that(OnFailure::Continue, steps, None));
        self.decide(run, approve()).await;
        run
    }

    /// A run of these steps that waits for approval.
    pub fn waiting(&mut self, steps: &[Step]) -> RunId {
        self.insert(plan(steps, None))
    }

    fn insert(&mut self, plan: Arc<Plan>) -> RunId {
        self.runs += 1;
        let run = RunId(Uuid::from_u128(self.runs));
        let new = NewRun::new(run, FlowRequestId(Uuid::nil()), plan, None).unwrap();
        self.store.insert_run(&new);
        run
    }

    pub async fn decide(&self, run: RunId, decision: Decision) -> Decided {
        let deciding = Deciding {
            run,
            organization: OrganizationId(Uuid::nil()),
            decision,
            code_current: true,
        };
        let decided = self.store.decide(&deciding).await.unwrap();
        if let Decided::Done { outbox, poke, .. } = &decided {
            self.outlet.hand(outbox.clone());
            if let Some(worker) = poke {
                self.bus.poke(*worker, run).await;
            }
        }
        decided
    }

    /// Lets time pass until the run has ended.
    pub async fn ended(&self, run: RunId) -> RunStatus {
        self.until(|| self.status(run).is_final()).await;
        self.status(run)
    }

    /// Lets time pass, a little at a time, until `so`.
    pub async fn until(&self, so: impl Fn() -> bool) {
        for _ in 0..100_000 {
            if so() {
                return;
            }
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
        panic!("what was waited for does not come");
    }

    pub fn status(&self, run: RunId) -> RunStatus {
        self.store.run(run).unwrap().run.status
    }

    pub async fn rows(&self, run: RunId) -> BTreeMap<u32, TaskRow> {
        let history = self.store.load(run).await.unwrap();
        history
            .rows
            .into_iter()
            .map(|row| (row.key.index, row))
            .collect()
    }

    pub async fn statuses(&self, run: RunId) -> Vec<TaskStatus> {
        self.rows(run)
            .await
            .values()
            .map(|row| row.status)
            .collect()
    }

    pub async fn close(self) {
        self.stop.cancel();
        self.journal.close().await;
        self.relay.close().await;
    }
}

/// The time by the store's clock.
pub async fn now(world: &World) -> Micros {
    world.store.now().await.unwrap()
}
