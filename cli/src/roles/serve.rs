//! `neena serve`: everything in one process.

use neena::{Backends, Database, Node, Options, Role};

use super::{api, backends, metrics, seconds, signal, work};
use crate::config::{Durability, Serve};
use crate::data_dir::{self, DataDir};
use crate::logs;

/// Serves until the process is told to stop.
pub async fn run(options: Serve) -> anyhow::Result<()> {
    logs::start(&options.log.log)?;
    let metrics = metrics::install()?;
    let grace = seconds(options.times.grace_seconds);
    let stop = signal::stop(grace)?;
    let dir = DataDir::open(&options.data.data_dir)?;
    let worker = work(
        &options.work,
        options.times.grace_seconds,
        dir.path().join("python"),
    );
    let backends = on(&options, &dir, worker.name.clone())?;
    // A database of its own is this process's alone; others may share Postgres, and this directory.
    let _lock = match backends.database {
        Database::Sqlite { .. } => Some(dir.lock()?),
        Database::Postgres { .. } => None,
    };
    let secret = match &options.issuer.jwt_secret {
        Some(secret) => data_dir::given(secret)?,
        None => dir.secret()?,
    };
    let (listener, address) = api::listen(&options.bind.bind).await?;
    let node = Node::start(Options {
        backends,
        role: Role::All(worker),
        lease: seconds(options.times.lease_seconds),
        seals: true,
    });
    let Some(node) = stop.run_until_cancelled(node).await else {
        return Ok(());
    };
    let mut node = node?;
    let app = api::state(
        &node,
        &options.issuer,
        secret.clone(),
        grace,
        &options.broker,
        &options.bind,
        metrics,
    )?;
    dir.write_token(&api::local_token(&options.issuer, &secret)?)?;
    api::say(&format!("neena is ready on http://{address}"))?;
    // Both stop at the same time: neither needs more than the grace.
    let serving = neena_api::serve(listener, app, stop.clone());
    let working = async {
        stop.cancelled().await;
        node.stop_worker().await
    };
    let ((), worker) = tokio::join!(serving, working);
    node.stop().await?;
    worker
}

/// Postgres where one is named, else the directory's own file.
fn on(options: &Serve, dir: &DataDir, name: String) -> anyhow::Result<Backends> {
    let database = match &options.database.database_url {
        Some(url) => Database::Postgres {
            url: url.expose().to_owned(),
        },
        None => Database::Sqlite {
            path: dir.database(),
            durability: match options.durability {
                Durability::Full => neena_store::Durability::Full,
                Durability::Fast => neena_store::Durability::Fast,
            },
        },
    };
    Ok(Backends {
        database,
        broker: backends::broker(&options.broker, name)?,
        wait: seconds(options.database.wait_seconds),
    })
}
