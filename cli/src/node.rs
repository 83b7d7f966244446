//! One process of an installation, composed from the same parts whatever its role: the database, the bus and a
//! keeper in every process, a worker where tasks run. The API is served beside it by who starts it.

mod backends;
mod hosting;
mod waiting;

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context, bail};
use neena_api::catalogue::upsert_built_ins;
use neena_bus::remote::TaskBus;
use neena_bus::{Bus, Keeper, Rabbit, Relay, Sealer};
use neena_store::db::Schema;
use neena_store::{Db, Journal, Outlet, SqlStore, Store};
use neena_worker::executors::Executors;
use neena_worker::{DatabaseClock, Seams, Settings, Worker};
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;
use uuid::Uuid;

use crate::local_hosting::LocalHosting;

use backends::Messages;
pub use backends::{Backends, Broker, Database, shown};

/// How a process is set up.
#[derive(Clone, Debug)]
pub struct Options {
    pub backends: Backends,
    pub role: Role,
    /// How long a worker may be silent before its runs go to others; the same in every process.
    pub lease: Duration,
    /// Whether it seals the log of decisions. All do, but where the commits of something else are counted.
    pub seals: bool,
}

/// What a process does.
#[derive(Clone, Debug)]
pub enum Role {
    /// Everything: it brings the schema up to date itself, and hosts what is synced by path.
    All(WorkerOptions),
    /// It serves requests; the tasks run elsewhere.
    Api,
    /// It runs tasks.
    Worker(WorkerOptions),
}

/// How the worker of a process is set up.
#[derive(Clone, Debug)]
pub struct WorkerOptions {
    /// For people.
    pub name: String,
    /// Attempts that run at once.
    pub slots: usize,
    /// Runs under way at once.
    pub runs: usize,
    /// How long running tasks may go on after a stop was asked for.
    pub grace: Duration,
    /// The Python interpreter; without one that works, Python tasks are not hosted.
    pub python: PathBuf,
    /// Where the Python package that the binary carries is written.
    pub sdk_dir: PathBuf,
    /// Python files, packages or folders that are registered and hosted at start.
    pub integrations: Vec<PathBuf>,
}

impl Role {
    fn worker(&self) -> Option<&WorkerOptions> {
        match self {
            Role::All(worker) | Role::Worker(worker) => Some(worker),
            Role::Api => None,
        }
    }
}

/// A process at work.
#[derive(Debug)]
pub struct Node {
    pub db: Db,
    pub store: Arc<dyn Store>,
    pub bus: Arc<dyn Bus>,
    /// Where committed messages go.
    pub outlet: Outlet,
    /// None where there is no worker, or no Python.
    pub hosting: Option<Arc<LocalHosting>>,
    worker: Option<Working>,
    rabbit: Option<Rabbit>,
    relay: Relay,
    keeper: JoinHandle<()>,
    /// None where it does not seal.
    sealer: Option<JoinHandle<()>>,
    stop_keeper: CancellationToken,
}

/// The worker of a process, and what records for it.
#[derive(Debug)]
struct Working {
    worker: Worker,
    journal: Journal,
}

impl Node {
    /// Opens the database and the bus, waiting for them if need be, and starts to work. Dropping the future
    /// before it is done leaves nothing half done.
    pub async fn start(options: Options) -> anyhow::Result<Node> {
        let Options {
            backends,
            role,
            lease,
            seals,
        } = &options;
        let hosts = async {
            match role.worker() {
                Some(worker) => hosting::python(worker).await,
                None => None,
            }
        };
        let (opened, hosts) = tokio::join!(backends.open(), hosts);
        let db = opened?;
        match role {
            Role::All(_) => bring_up_to_date(&db).await.map(drop)?,
            Role::Api | Role::Worker(_) => expect_current(&db).await?,
        }
        let hosting = hosts.map(|hosts| Arc::new(LocalHosting::new(hosts)));
        if let Some(worker) = role.worker() {
            hosting::register(worker, &db, hosting.as_deref()).await?;
        }
        if let (Role::All(_), Some(hosting)) = (role, &hosting) {
            hosting.host_synced(&db).await?;
        }
        let Messages { bus, tasks, rabbit } = backends.messages().await?;
        let store: Arc<dyn Store> = Arc::new(SqlStore::new(db.clone()));
        let (outlet, relay) = Relay::start(store.clone(), bus.clone());
        if let Database::Sqlite { .. } = backends.database {
            // The lock on the data directory proves that every earlier owner is gone.
            let freed = store
                .bury_all()
                .await
                .context("cannot free the runs of an earlier process")?;
            outlet.hand(freed);
        }
        let stop_keeper = CancellationToken::new();
        let mut keeper = Keeper::new(store.clone(), outlet.clone(), *lease).over(bus.clone());
        if rabbit.is_some() {
            // Others keep, too.
            keeper = keeper.apart(Uuid::new_v4().as_u64_pair().0);
        }
        let keeper = tokio::spawn(keeper.run(stop_keeper.clone()));
        let sealer = || Sealer::new(store.clone()).run(stop_keeper.clone());
        let sealer = seals.then(|| tokio::spawn(sealer()));
        let mut node = Node {
            db,
            store,
            bus,
            outlet,
            hosting,
            worker: None,
            rabbit,
            relay,
            keeper,
            sealer,
            stop_keeper,
        };
        if let Some(worker) = role.worker() {
            node.worker = Some(node.work(worker, *lease, tasks).await?);
        }
        Ok(node)
    }

    async fn work(
        &self,
        options: &WorkerOptions,
        lease: Duration,
        tasks: Option<Arc<dyn TaskBus>>,
    ) -> anyhow::Result<Working> {
        let executors = Arc::new(match &self.hosting {
            Some(hosting) => Executors::with_python(Arc::new(hosting.hosts().clone())),
            None => Executors::new(),
        });
        let settings = Settings {
            name: options.name.clone(),
            slots: options.slots,
            runs: options.runs,
            lease,
            grace: options.grace,
        };
        let journal = Journal::start(self.store.clone(), self.outlet.clone());
        let clock = Arc::new(DatabaseClock::new(self.store.now().await?));
        let seams = Seams {
            store: self.store.clone(),
            bus: self.bus.clone(),
            tasks,
            journal: journal.clone(),
            executors,
            clock,
        };
        let worker = Worker::start(settings, seams)
            .await
            .context("the worker cannot start")?;
        Ok(Working { worker, journal })
    }

    /// Takes no more runs, lets running tasks finish within the grace, records what they gave and gives the
    /// rest back. Without a worker there is nothing to do.
    pub async fn stop_worker(&mut self) -> anyhow::Result<()> {
        let Some(Working { worker, journal }) = self.worker.take() else {
            return Ok(());
        };
        let stopped = worker.stop().await;
        journal.close().await;
        stopped.context("the worker did not stop in good order")
    }

    /// Stops the worker, then closes everything, whatever goes wrong on the way; the first thing that did is
    /// the error.
    pub async fn stop(mut self) -> anyhow::Result<()> {
        let worker = self.stop_worker().await;
        self.stop_keeper.cancel();
        let keeper = self.keeper.await;
        let sealer = match self.sealer {
            Some(sealer) => sealer.await,
            None => Ok(()),
        };
        self.relay.close().await;
        if let Some(rabbit) = &self.rabbit {
            rabbit.close().await;
        }
        self.db.close().await;
        worker?;
        keeper.context("the keeper did not stop in good order")?;
        sealer.context("the sealer did not stop in good order")
    }
}

/// Applies the migrations that the database lacks and registers the built-in tasks; how many migrations that
/// took. Any number of processes may do so together. A schema that a newer program made is left alone.
pub async fn bring_up_to_date(db: &Db) -> anyhow::Result<usize> {
    if let Schema::Newer(unknown) = schema(db).await? {
        bail!(newer(&unknown));
    }
    let applied = db
        .migrate()
        .await
        .context("cannot bring the database's schema up to date")?;
    hosting::again("the built-in tasks", || upsert_built_ins(db)).await?;
    Ok(applied)
}

async fn expect_current(db: &Db) -> anyhow::Result<()> {
    match schema(db).await? {
        Schema::Current => Ok(()),
        Schema::Older(missing) => bail!(
            "the database's schema is older than this program ({missing} migrations are missing): \
             run `neena migrate` first"
        ),
        Schema::Newer(unknown) => bail!(newer(&unknown)),
    }
}

async fn schema(db: &Db) -> anyhow::Result<Schema> {
    db.schema()
        .await
        .context("cannot read the version of the database's schema")
}

fn newer(unknown: &[String]) -> String {
    format!(
        "the database's schema is newer than this program, by {}: use the version whose `neena migrate` made it",
        unknown.join(", ")
    )
}
