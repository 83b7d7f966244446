//! A process and what runs in it: relay and keeper always, a journal and a worker where tasks are run.

use std::sync::Arc;
use std::time::Duration;

use neena_bus::{Bus, Keeper, Relay};
use neena_engine::Micros;
use neena_store::{Decided, Deciding, Journal, Message, Outlet, Res, Store};
use neena_worker::executors::Executors;
use neena_worker::{Clock, DatabaseClock, Seams, Settings, Worker};
use parking_lot::Mutex;
use tokio::time::{Instant, sleep};
use tokio_util::sync::CancellationToken;
use uuid::Uuid;

use crate::broker::Line;
use crate::bug::Bug;
use crate::database::Database;
use crate::process::Process;
use crate::tasks::Tasks;
use crate::world::World;

/// How long a worker may be silent.
pub(crate) const LEASE: Duration = Duration::from_secs(10);

/// A process.
#[derive(Debug)]
pub(crate) struct Node {
    pub process: Arc<Process>,
    world: Arc<World>,
    store: Arc<Database>,
    bus: Arc<Line>,
    outlet: Outlet,
    pub stop_keeper: CancellationToken,
    inside: Mutex<Inside>,
}

/// What is taken apart when the process ends in good order.
#[derive(Debug, Default)]
struct Inside {
    relay: Option<Relay>,
    working: Option<(Worker, Journal)>,
}

impl Node {
    /// A process that answers people.
    pub fn serving(world: &Arc<World>) -> Arc<Node> {
        let process = Process::new(world.seed, world.next_process());
        let store = Arc::new(Database::new(world.clone(), process.clone()));
        let bus = Arc::new(Line::new(world.clone(), process.clone()));
        let (outlet, relay) = Relay::start(store.clone(), bus.clone());
        let stop_keeper = CancellationToken::new();
        let keeper = Keeper::new(store.clone(), outlet.clone(), LEASE);
        tokio::spawn(keeper.run(stop_keeper.clone()));
        Arc::new(Node {
            process,
            world: world.clone(),
            store,
            bus,
            outlet,
            stop_keeper,
            inside: Mutex::new(Inside {
                relay: Some(relay),
                working: None,
            }),
        })
    }

    /// A process that runs tasks, as soon as it reaches the database.
    pub fn working(world: &Arc<World>) -> Arc<Node> {
        let node = Node::serving(world);
        let starting = node.clone();
        tokio::spawn(async move {
            while starting.start().await.is_err() {
                sleep(Duration::from_secs(1)).await;
            }
        });
        node
    }

    async fn start(&self) -> Res<()> {
        let journal = Journal::start(self.store.clone(), self.outlet.clone());
        let now = self.store.now().await?;
        let clock = Ticking {
            time: DatabaseClock::new(now),
            process: self.process.clone(),
        };
        let dice = &self.process.dice;
        let settings = Settings {
            name: format!("p{}", self.process.number),
            slots: usize::try_from(dice.between(1, 6)).unwrap_or(1),
            runs: usize::try_from(dice.between(2, 12)).unwrap_or(2),
            lease: LEASE,
            grace: dice.millis(0, 3_000),
        };
        let tasks = Tasks::new(self.world.clone(), self.process.clone(), self.store.clone());
        let seams = Seams {
            store: self.store.clone(),
            bus: self.bus.clone(),
            // Remote tasks are not simulated yet: each worker runs its own.
            tasks: None,
            journal: journal.clone(),
            executors: Arc::new(Executors::with_python(Arc::new(tasks))),
            clock: Arc::new(clock),
        };
        let worker = Worker::start(settings, seams).await?;
        self.inside.lock().working = Some((worker, journal));
        Ok(())
    }

    /// Ends in good order: gives everything back.
    pub async fn stop(&self) {
        let Inside { relay, working } = std::mem::take(&mut *self.inside.lock());
        if let Some((worker, journal)) = working {
            // What it could not give back is freed when its lease lapses.
            let _ = worker.stop().await;
            journal.close().await;
        }
        self.stop_keeper.cancel();
        if let Some(relay) = relay {
            relay.close().await;
        }
        self.process.die();
    }

    /// Carries out a decision as the API does: the answer comes after the commit.
    pub async fn decide(&self, deciding: &Deciding) -> Res<Decided> {
        self.process.gate().await;
        if self.world.has(Bug::PublishedBeforeCommit) {
            self.outlet.hand([self.early(deciding)]);
            sleep(Duration::from_millis(5)).await;
        }
        let decided = self.store.decide(deciding).await?;
        if let Decided::Done { outbox, poke, .. } = &decided {
            self.process.gate().await;
            self.outlet.hand(outbox.iter().cloned());
            if let Some(worker) = poke {
                self.bus.poke(*worker, deciding.run).await;
            }
        }
        Ok(decided)
    }

    /// The message a decision will send, if it is ever committed.
    fn early(&self, deciding: &Deciding) -> Message {
        Message {
            id: Uuid::from_u128(self.process.id()),
            kind: Message::APPROVED.to_owned(),
            organization: deciding.organization,
            run: deciding.run,
            epoch: 0,
            at: Micros(0),
        }
    }
}

/// The database's time, and ids that are counted.
#[derive(Debug)]
struct Ticking {
    time: DatabaseClock,
    process: Arc<Process>,
}

impl Clock for Ticking {
    fn now(&self) -> Micros {
        self.time.now()
    }

    fn adjust(&self, db_now: Micros) {
        self.time.adjust(db_now);
    }

    fn id(&self) -> Uuid {
        Uuid::from_u128(self.process.id())
    }

    fn instant(&self, due: Micros) -> Instant {
        self.time.instant(due)
    }
}
