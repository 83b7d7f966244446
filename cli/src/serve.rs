//! `neena serve`: everything on one machine, composed.

use std::io::Write;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use anyhow::Context;
use neena::{Embedded, Options};
use neena_api::auth::local::{LocalToken, SignError, sign};
use neena_api::auth::{Permission, Secret, TokenRules};
use neena_api::{ApiConfig, AppState, Connections, Hosting, Parts};
use neena_store::Db;
use tokio::net::TcpListener;
use tokio::signal::unix::{SignalKind, signal};
use tokio_util::sync::CancellationToken;

use crate::config::{Durability, Serve};
use crate::data_dir::{self, DataDir};
use crate::logs;

/// Whose token is left in the data directory.
const LOCAL_EMAIL: &str = "local@neena.local";
/// How long that token holds.
const LOCAL_TTL: Duration = Duration::from_secs(30 * 86_400);

/// Serves until the process is told to stop.
pub async fn run(options: Serve) -> anyhow::Result<()> {
    logs::start(&options.log)?;
    let stop = stop_on_signal()?;
    let dir = DataDir::open(&options.data.data_dir)?;
    let _lock = dir.lock()?;
    let secret = match &options.issuer.jwt_secret {
        Some(secret) => data_dir::given(secret)?,
        None => dir.secret()?,
    };
    let listener = TcpListener::bind(&options.bind)
        .await
        .with_context(|| format!("cannot listen on {}", options.bind))?;
    let address = listener
        .local_addr()
        .context("cannot tell the address that is listened on")?;
    let embedded = Embedded::start(machine(&options, &dir)).await?;
    let app = AppState::new(Parts {
        db: embedded.db.clone(),
        store: embedded.store.clone(),
        outlet: embedded.outlet.clone(),
        bus: embedded.bus.clone(),
        config: api(&options, secret.clone()),
        hosting: embedded
            .hosting
            .clone()
            .map(|hosting| hosting as Arc<dyn Hosting>),
    });
    dir.write_token(&local_token(&options, &secret)?)?;
    writeln!(std::io::stdout(), "neena is ready on http://{address}")
        .context("cannot say that it is ready")?;
    neena_api::serve(listener, app, stop).await;
    embedded.stop().await
}

/// Applies the migrations that the database lacks; answers how many.
pub async fn migrate(database: &Path) -> anyhow::Result<usize> {
    let db = Db::sqlite(database, neena_store::Durability::Full)
        .await
        .with_context(|| format!("cannot open {}", database.display()))?;
    let applied = db
        .migrate()
        .await
        .with_context(|| format!("cannot bring {} up to date", database.display()))?;
    db.close().await;
    Ok(applied)
}

/// Cancelled by the first SIGTERM or SIGINT; a second one has the usual effect.
fn stop_on_signal() -> anyhow::Result<CancellationToken> {
    let stop = CancellationToken::new();
    let cancelled = stop.clone();
    let mut terminate = signal(SignalKind::terminate()).context("cannot listen for SIGTERM")?;
    let mut interrupt = signal(SignalKind::interrupt()).context("cannot listen for SIGINT")?;
    tokio::spawn(async move {
        tokio::select! {
            _ = terminate.recv() => {}
            _ = interrupt.recv() => {}
        }
        tracing::info!("stopping: no new runs, running tasks may finish");
        cancelled.cancel();
        tokio::select! {
            _ = terminate.recv() => {}
            _ = interrupt.recv() => {}
        }
        tracing::warn!("told again: stopping at once");
        std::process::exit(130);
    });
    Ok(stop)
}

fn machine(options: &Serve, dir: &DataDir) -> Options {
    Options {
        database: dir.database(),
        sdk_dir: dir.path().join("python"),
        durability: match options.durability {
            Durability::Full => neena_store::Durability::Full,
            Durability::Fast => neena_store::Durability::Fast,
        },
        slots: options.worker_concurrency as usize,
        runs: options.worker_runs as usize,
        lease: Duration::from_secs(options.lease_seconds.into()),
        grace: Duration::from_secs(options.grace_seconds.into()),
        python: options.python.clone(),
        integrations: options.integrations.clone(),
    }
}

fn api(options: &Serve, secret: Secret) -> ApiConfig {
    ApiConfig {
        tokens: TokenRules {
            secret,
            issuer: options.issuer.jwt_issuer.clone(),
            audience: options.issuer.jwt_audience.clone(),
        },
        connections: Connections {
            grace: Duration::from_secs(options.grace_seconds.min(5).into()),
            ..Connections::default()
        },
    }
}

/// The token that commands on this machine use: it permits everything.
fn local_token(options: &Serve, secret: &Secret) -> Result<String, SignError> {
    let token = LocalToken {
        email: LOCAL_EMAIL,
        permissions: Some(&Permission::ALL),
        organization: None,
        ttl: LOCAL_TTL,
        issuer: &options.issuer.jwt_issuer,
        audience: &options.issuer.jwt_audience,
    };
    sign(secret, &token)
}
