//! `neena serve`: everything on one machine, composed.

use std::path::Path;

use anyhow::{Context, bail};
use tokio::net::TcpListener;

use crate::config::{Secret, Serve, Ttl};
use crate::data_dir::{self, DataDir};
use crate::logs;
use crate::token::{self, Claims};

/// Whose token is left in the data directory.
const LOCAL_EMAIL: &str = "local@neena.local";
/// Everything that can be permitted.
const ALL_PERMISSIONS: [&str; 4] = ["read", "write", "approve", "admin"];
/// How long that token holds.
const LOCAL_TTL: std::time::Duration = std::time::Duration::from_secs(30 * 86_400);

/// Serves until the process is told to stop.
pub async fn run(options: Serve) -> anyhow::Result<()> {
    logs::start(&options.log)?;
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

    let _ = (listener, address);
    dir.write_token(&local_token(&options, &secret)?)?;
    bail!("not composed yet")
}

/// Applies the migrations that the database lacks; answers how many.
pub async fn migrate(database: &Path) -> anyhow::Result<usize> {
    bail!("not composed yet: {}", database.display())
}

/// The token that commands on this machine use: it permits everything.
fn local_token(options: &Serve, secret: &Secret) -> anyhow::Result<String> {
    token::sign(
        &Claims {
            issuer: &options.issuer.jwt_issuer,
            audience: &options.issuer.jwt_audience,
            email: LOCAL_EMAIL,
            permissions: Some(&ALL_PERMISSIONS.map(str::to_owned)),
            organization: None,
            ttl: Ttl(LOCAL_TTL),
        },
        secret,
    )
}
