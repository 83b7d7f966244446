//! `neena worker`: runs tasks for an installation of many machines.

use anyhow::Context;
use neena::{Node, Options, Role, WorkerOptions};

use super::watch::{self, Watched};
use super::{api, backends, metrics, name, seconds, signal, work};
use crate::config::Worker;
use crate::data_dir::DataDir;
use crate::logs;

/// Works until the process is told to stop.
pub async fn run(options: Worker) -> anyhow::Result<()> {
    logs::start(&options.log.log)?;
    let metrics = metrics::install()?;
    let stop = signal::stop(seconds(options.times.grace_seconds))?;
    let name = options.work.worker_name.clone().unwrap_or_else(name);
    let backends = backends::shared(&options.database, &options.broker, name.clone())?;
    let watched = Watched::new(metrics);
    let watching = match &options.metrics_bind {
        Some(bind) => {
            let (listener, address) = api::listen(bind).await?;
            tracing::info!("/metrics, /healthz and /readyz are on http://{address}");
            let served = watch::serve(listener, watched.clone(), stop.clone());
            Some(tokio::spawn(served))
        }
        None => None,
    };
    // Others may use the same directory: what is written there is the same.
    let dir = options.data.data_dir.as_deref();
    let dir = dir.map(DataDir::open).transpose()?;
    let temporary = match &dir {
        Some(_) => None,
        None => Some(tempfile::tempdir().context("cannot make a folder for the Python package")?),
    };
    let sdk_dir = match (&dir, &temporary) {
        (Some(dir), _) => dir.path().join("python"),
        (None, Some(temporary)) => temporary.path().to_owned(),
        (None, None) => std::env::temp_dir(),
    };
    let worker = WorkerOptions {
        name: name.clone(),
        ..work(&options.work, options.times.grace_seconds, sdk_dir)
    };
    let node = Node::start(Options {
        backends,
        role: Role::Worker(worker),
        lease: seconds(options.times.lease_seconds),
        seals: true,
    });
    let Some(node) = stop.run_until_cancelled(node).await else {
        return Ok(());
    };
    let node = node?;
    watched.started(&node);
    api::say(&format!("neena worker {name} is ready"))?;
    stop.cancelled().await;
    let stopped = node.stop().await;
    if let Some(watching) = watching {
        // Whoever still reads from it is cut off.
        watching.abort();
    }
    stopped
}
