//! `neena api`: serves requests; the tasks run in workers.

use std::io::Write;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context, bail};
use metrics_exporter_prometheus::PrometheusHandle;
use neena::{Node, Options, Role};
use neena_api::auth::local::{LocalToken, SignError, sign};
use neena_api::auth::{Permission, Secret, TokenRules};
use neena_api::{ApiConfig, AppState, Connections, Hosting, Limits, Metrics, Parts, Reach, Smtp};
use tokio::net::TcpListener;

use super::{backends, metrics, name, seconds, signal};
use crate::config::{Api, BindOption, BrokerOptions, Issuer, ReachOptions};
use crate::data_dir::{self, DataDir};
use crate::logs;

/// Whose token is left in the data directory.
const LOCAL_EMAIL: &str = "local@neena.local";
/// How long that token holds.
const LOCAL_TTL: Duration = Duration::from_secs(30 * 86_400);
/// Longest time that requests under way get when the process is told to stop.
const REQUESTS: Duration = Duration::from_secs(5);

/// Serves until the process is told to stop.
pub async fn run(options: Api) -> anyhow::Result<()> {
    logs::start(&options.log.log)?;
    let metrics = metrics::install()?;
    let grace = seconds(options.times.grace_seconds);
    let stop = signal::stop(grace)?;
    let backends = backends::shared(&options.database, &options.broker, name())?;
    let dir = options.data.data_dir.as_deref();
    let dir = dir.map(DataDir::open).transpose()?;
    let secret = match (&options.issuer.jwt_secret, &dir) {
        (Some(secret), _) => data_dir::given(secret)?,
        (None, Some(dir)) => dir.secret()?,
        (None, None) => bail!(
            "give the secret that signs tokens with NEENA_JWT_SECRET, or a directory that keeps one \
             with NEENA_DATA_DIR"
        ),
    };
    let (listener, address) = listen(&options.bind.bind).await?;
    let node = Node::start(Options {
        backends,
        role: Role::Api,
        lease: seconds(options.times.lease_seconds),
        seals: true,
    });
    let Some(node) = stop.run_until_cancelled(node).await else {
        return Ok(());
    };
    let node = node?;
    let app = state(
        &node,
        &options.issuer,
        secret.clone(),
        grace,
        &options.broker,
        &options.bind,
        metrics,
    )?;
    if let Some(dir) = &dir {
        dir.write_token(&local_token(&options.issuer, &secret)?)?;
    }
    say(&format!("neena api is ready on http://{address}"))?;
    neena_api::serve(listener, app, stop).await;
    node.stop().await
}

/// The API over what this process stands on.
pub(super) fn state(
    node: &Node,
    issuer: &Issuer,
    secret: Secret,
    grace: Duration,
    broker: &BrokerOptions,
    bind: &BindOption,
    metrics: PrometheusHandle,
) -> anyhow::Result<AppState> {
    let reach = reach(broker, &bind.reach)?;
    let parts = Parts {
        db: node.db.clone(),
        store: node.store.clone(),
        outlet: node.outlet.clone(),
        bus: node.bus.clone(),
        config: ApiConfig {
            tokens: TokenRules {
                secret,
                issuer: issuer.jwt_issuer.clone(),
                audience: issuer.jwt_audience.clone(),
            },
            connections: Connections {
                grace: grace.min(REQUESTS),
                ..Connections::default()
            },
            limits: Limits {
                rate: bind.rate_limit,
                ..Limits::default()
            },
            queue_prefix: broker.amqp_prefix.clone(),
            reach,
        },
        hosting: node
            .hosting
            .clone()
            .map(|hosting| hosting as Arc<dyn Hosting>),
        metrics: Some(Metrics::new(move || metrics.render())),
    };
    Ok(AppState::new(parts))
}

/// How people are reached. What is signed for them is signed with the key that all processes share.
fn reach(broker: &BrokerOptions, options: &ReachOptions) -> anyhow::Result<Reach> {
    let key = broker.master_key.as_ref().map(|key| {
        Secret::new(key.expose()).context("NEENA_MASTER_KEY cannot sign links and webhooks")
    });
    let reach = Reach {
        smtp: options.smtp_url.as_ref().map(|url| Smtp {
            url: url.expose().to_owned(),
            from: options.mail_from.clone(),
        }),
        public_url: options.public_url.clone(),
        egress_allow: options.egress_allow.clone(),
        key: key.transpose()?,
        ..Reach::default()
    };
    reach.check().context("no e-mail can be sent")?;
    Ok(reach)
}

/// Listens, so that an address in use is told before anything else is done.
pub(super) async fn listen(bind: &str) -> anyhow::Result<(TcpListener, SocketAddr)> {
    let listener = TcpListener::bind(bind)
        .await
        .with_context(|| format!("cannot listen on {bind}"))?;
    let address = listener
        .local_addr()
        .context("cannot tell the address that is listened on")?;
    Ok((listener, address))
}

/// The line by which whoever started the process knows that it is ready.
pub(super) fn say(line: &str) -> anyhow::Result<()> {
    writeln!(std::io::stdout(), "{line}").context("cannot say that it is ready")
}

/// The token that commands on this machine use: it permits everything.
pub(super) fn local_token(issuer: &Issuer, secret: &Secret) -> Result<String, SignError> {
    let token = LocalToken {
        email: LOCAL_EMAIL,
        permissions: Some(&Permission::ALL),
        organization: None,
        ttl: LOCAL_TTL,
        issuer: &issuer.jwt_issuer,
        audience: &issuer.jwt_audience,
    };
    sign(secret, &token)
}
