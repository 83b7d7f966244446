//! The composition: SQLite, the in-process bus, the keeper and one worker.

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use anyhow::Context;
use neena_api::catalogue::{Manifest, SYSTEM_EMAIL, upsert_built_ins, upsert_manifest};
use neena_bus::{Bus, InProcess, Keeper, Relay};
use neena_store::{Db, Durability, Journal, Outlet, SqlStore, Store};
use neena_worker::executors::python::{Interpreter, Settings as PythonSettings};
use neena_worker::executors::{Executors, PythonHosts};
use neena_worker::{DatabaseClock, Seams, Settings, Worker};
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;
use tracing::{info, warn};

use crate::local_hosting::LocalHosting;

/// How one machine is set up.
#[derive(Clone, Debug)]
pub struct Options {
    /// The SQLite file; made and migrated if need be. The caller holds the lock on it.
    pub database: PathBuf,
    /// Where the Python package that the binary carries is written.
    pub sdk_dir: PathBuf,
    pub durability: Durability,
    /// Attempts that run at once.
    pub slots: usize,
    /// Runs under way at once.
    pub runs: usize,
    pub lease: Duration,
    pub grace: Duration,
    /// The Python interpreter; without one that works, Python tasks are not hosted.
    pub python: PathBuf,
    /// Python files, packages or folders that are registered and hosted at start.
    pub integrations: Vec<PathBuf>,
}

/// One machine at work.
#[derive(Debug)]
pub struct Embedded {
    pub db: Db,
    pub store: Arc<dyn Store>,
    pub bus: Arc<dyn Bus>,
    /// Where committed messages go.
    pub outlet: Outlet,
    /// None where there is no Python.
    pub hosting: Option<Arc<LocalHosting>>,
    journal: Journal,
    relay: Relay,
    worker: Worker,
    keeper: JoinHandle<()>,
    stop_keeper: CancellationToken,
}

impl Embedded {
    /// Opens the database, frees what an earlier process held, registers the integrations and starts
    /// to work.
    pub async fn start(options: Options) -> anyhow::Result<Embedded> {
        let (opened, hosts) = tokio::join!(open(&options), python(&options));
        let db = opened?;
        upsert_built_ins(&db)
            .await
            .context("cannot register the built-in tasks")?;
        let hosting = hosts.map(|hosts| Arc::new(LocalHosting::new(hosts)));
        register(&options, &db, hosting.as_deref()).await?;
        let store: Arc<dyn Store> = Arc::new(SqlStore::new(db.clone()));
        let bus: Arc<dyn Bus> = Arc::new(InProcess::new());
        let (outlet, relay) = Relay::start(store.clone(), bus.clone());
        let journal = Journal::start(store.clone(), outlet.clone());
        // The lock on the data directory proves that every earlier owner is gone.
        let freed = store
            .bury_all()
            .await
            .context("cannot free the runs of an earlier process")?;
        outlet.hand(freed);
        let stop_keeper = CancellationToken::new();
        let keeper = Keeper::new(store.clone(), outlet.clone(), options.lease);
        let keeper = tokio::spawn(keeper.run(stop_keeper.clone()));
        let executors = Arc::new(match &hosting {
            Some(hosting) => Executors::with_python(Arc::new(hosting.hosts().clone())),
            None => Executors::new(),
        });
        let settings = Settings {
            name: format!("embedded {}", std::process::id()),
            slots: options.slots,
            runs: options.runs,
            lease: options.lease,
            grace: options.grace,
        };
        let clock = Arc::new(DatabaseClock::new(store.now().await?));
        let seams = Seams {
            store: store.clone(),
            bus: bus.clone(),
            tasks: None,
            journal: journal.clone(),
            executors,
            clock,
        };
        let worker = Worker::start(settings, seams)
            .await
            .context("the worker cannot start")?;
        Ok(Embedded {
            db,
            store,
            bus,
            outlet,
            hosting,
            journal,
            relay,
            worker,
            keeper,
            stop_keeper,
        })
    }

    /// Lets running tasks finish within the grace, records what they gave, and closes everything,
    /// whatever goes wrong on the way; the first thing that did is the error.
    pub async fn stop(self) -> anyhow::Result<()> {
        let worker = self.worker.stop().await;
        self.journal.close().await;
        self.stop_keeper.cancel();
        let keeper = self.keeper.await;
        self.relay.close().await;
        self.db.close().await;
        worker.context("the worker did not stop in good order")?;
        keeper.context("the keeper did not stop in good order")
    }
}

async fn open(options: &Options) -> anyhow::Result<Db> {
    let db = Db::sqlite(&options.database, options.durability)
        .await
        .with_context(|| format!("cannot open {}", options.database.display()))?;
    db.migrate()
        .await
        .with_context(|| format!("cannot bring {} up to date", options.database.display()))?;
    Ok(db)
}

/// The Python hosts; none, with a warning, where there is no interpreter that works.
async fn python(options: &Options) -> Option<PythonHosts> {
    let interpreter = match Interpreter::check(&options.python).await {
        Ok(interpreter) => interpreter,
        Err(problem) => {
            warn!(%problem, "Python tasks are not hosted");
            return None;
        }
    };
    let settings = PythonSettings::new(interpreter, options.sdk_dir.clone(), options.slots);
    PythonHosts::new(settings)
        .inspect_err(|problem| warn!(%problem, "Python tasks are not hosted"))
        .ok()
}

/// Registers and hosts the integrations asked for, and hosts those that were synced before.
async fn register(
    options: &Options,
    db: &Db,
    hosting: Option<&LocalHosting>,
) -> anyhow::Result<()> {
    let Some(hosting) = hosting else {
        anyhow::ensure!(
            options.integrations.is_empty(),
            "integrations are to be loaded, but {} does not run",
            options.python.display()
        );
        return Ok(());
    };
    for path in &options.integrations {
        let (found, manifest) = hosting
            .hosts()
            .find(path)
            .await
            .with_context(|| format!("cannot load {}", path.display()))?;
        let manifest: Manifest = serde_json::from_value(manifest)
            .with_context(|| format!("cannot register {}", path.display()))?;
        upsert_manifest(db, manifest, Some(SYSTEM_EMAIL))
            .await
            .with_context(|| format!("cannot register {}", path.display()))?;
        for hosted in &found {
            hosting
                .hosts()
                .register(hosted)
                .await
                .with_context(|| format!("cannot load {}", path.display()))?;
            info!(integration = %hosted.short_name, digest = %hosted.code_digest, "hosted");
        }
    }
    hosting.host_synced(db).await
}
