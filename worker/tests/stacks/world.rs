//! Workers as processes would be, each with what is its own, and what a client sees.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::{Duration, Instant};

use neena_bus::{Bus, Keeper, Relay};
use neena_engine::flow::OnFailure;
use neena_engine::ids::{FlowRequestId, OrganizationId, RunId};
use neena_engine::plan::Plan;
use neena_engine::run::{Decision, RunStatus, TaskRow};
use neena_store::entities::{flow_run, live_run};
use neena_store::{Db, Decided, Deciding, Journal, NewRun, Outlet, SqlStore, Store, insert_run};
use neena_worker::executors::Executors;
use neena_worker::{DatabaseClock, Seams, Settings, Worker};
use sea_orm::EntityTrait;
use tokio::runtime::{Builder, Runtime};
use tokio_util::sync::CancellationToken;
use uuid::Uuid;

use crate::ground::Ground;
use crate::plans::{Step, approve, plan, plan_that};
use crate::scripted::Scripted;

/// How long a worker may be silent here.
pub const LEASE: Duration = Duration::from_secs(4);
/// Longer than anything may take.
const PATIENCE: Duration = Duration::from_secs(60);

/// One installation.
pub struct World {
    ground: Ground,
    db: Db,
    pub store: Arc<dyn Store>,
    pub bus: Arc<dyn Bus>,
    outlet: Outlet,
    relay: Relay,
    stop: CancellationToken,
}

/// A worker in a process of its own, as far as it can tell.
pub struct Process {
    runtime: Runtime,
    worker: Worker,
    journal: Journal,
}

impl World {
    pub async fn new() -> World {
        let ground = Ground::fresh().await;
        let (db, bus, _) = ground.open().await;
        let store: Arc<dyn Store> = Arc::new(SqlStore::new(db.clone()));
        let (outlet, relay) = Relay::start(store.clone(), bus.clone());
        let stop = CancellationToken::new();
        let keeper = Keeper::new(store.clone(), outlet.clone(), LEASE);
        tokio::spawn(keeper.run(stop.clone()));
        World {
            ground,
            db,
            store,
            bus,
            outlet,
            relay,
            stop,
        }
    }

    pub async fn worker(&self, slots: usize, script: &Arc<Scripted>) -> Process {
        let (db, bus, tasks) = self.ground.open().await;
        let script = script.clone();
        let runtime = Builder::new_multi_thread()
            .worker_threads(1)
            .enable_all()
            .build()
            .unwrap();
        let started = runtime.spawn(async move {
            let store: Arc<dyn Store> = Arc::new(SqlStore::new(db));
            let (outlet, _) = Relay::start(store.clone(), bus.clone());
            let journal = Journal::start(store.clone(), outlet);
            let settings = Settings {
                name: "test".into(),
                slots,
                runs: 16,
                lease: LEASE,
                grace: Duration::ZERO,
            };
            let now = store.now().await.unwrap();
            let seams = Seams {
                store,
                bus,
                tasks,
                journal: journal.clone(),
                executors: Arc::new(Executors::with_python(script)),
                clock: Arc::new(DatabaseClock::new(now)),
            };
            (Worker::start(settings, seams).await.unwrap(), journal)
        });
        let (worker, journal) = started.await.unwrap();
        Process {
            runtime,
            worker,
            journal,
        }
    }

    pub async fn waiting(&self, steps: &[Step]) -> RunId {
        self.insert(plan(steps, None)).await
    }

    async fn insert(&self, plan: Arc<Plan>) -> RunId {
        let run = RunId(Uuid::now_v7());
        let new = NewRun::new(run, FlowRequestId(Uuid::nil()), plan, None).unwrap();
        let made = self
            .db
            .unit(move |tx| Box::pin(async move { insert_run(tx, &new).await }));
        made.await.unwrap();
        run
    }

    /// A run of these steps, approved.
    pub async fn run(&self, steps: &[Step]) -> RunId {
        let run = self.waiting(steps).await;
        self.decide(run, approve()).await;
        run
    }

    pub async fn decide(&self, run: RunId, decision: Decision) {
        let deciding = Deciding {
            run,
            organization: OrganizationId(Uuid::nil()),
            decision,
            code_current: true,
        };
        match self.store.decide(&deciding).await.unwrap() {
            Decided::Done { outbox, poke, .. } => {
                self.outlet.hand(outbox);
                if let Some(worker) = poke {
                    self.bus.poke(worker, run).await;
                }
            }
            other => panic!("{other:?}"),
        }
    }

    /// Waits until nobody owns the run, which waits for something.
    pub async fn parked(&self, run: RunId) {
        until(async || {
            let live = live_run::Entity::find_by_id(run.0);
            let live = live.one(self.db.reader()).await.unwrap();
            live.is_some_and(|live| live.phase == "parked")
        })
        .await;
    }

    /// A run of these steps, approved, that goes on where a task fails.
    pub async fn run_that_goes_on(&self, steps: &[Step]) -> RunId {
        let run = self
            .insert(plan_that(OnFailure::Continue, steps, None))
            .await;
        self.decide(run, approve()).await;
        run
    }

    pub async fn row(&self, run: RunId) -> flow_run::Model {
        let found = flow_run::Entity::find_by_id(run.0);
        found.one(self.db.reader()).await.unwrap().unwrap()
    }

    /// Waits until the run has ended and nothing of it is left.
    pub async fn ended(&self, run: RunId) -> RunStatus {
        until(async || {
            let live = live_run::Entity::find_by_id(run.0);
            live.one(self.db.reader()).await.unwrap().is_none()
        })
        .await;
        self.row(run).await.status.parse().unwrap()
    }

    pub async fn rows(&self, run: RunId) -> BTreeMap<u32, TaskRow> {
        let history = self.store.load(run).await.unwrap();
        let rows = history.rows.into_iter();
        rows.map(|row| (row.key.index, row)).collect()
    }

    pub async fn close(self) {
        self.stop.cancel();
        self.relay.close().await;
        self.ground.clear().await;
    }
}

impl Process {
    pub fn held(&self) -> usize {
        self.worker.held()
    }

    /// Stops in good order.
    pub async fn stop(self) {
        let Process {
            runtime,
            worker,
            journal,
        } = self;
        let stopped = runtime.spawn(async move {
            worker.stop().await.unwrap();
            journal.close().await;
        });
        stopped.await.unwrap();
        runtime.shutdown_background();
    }

    /// Is gone from one moment to the next, with everything it had in hand.
    pub fn die(self) {
        let Process {
            runtime,
            worker,
            journal,
        } = self;
        runtime.shutdown_background();
        drop((worker, journal));
    }
}

/// Waits until `so`.
pub async fn until(so: impl AsyncFn() -> bool) {
    let deadline = Instant::now() + PATIENCE;
    while !so().await {
        assert!(
            Instant::now() < deadline,
            "what was waited for does not come"
        );
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
}
