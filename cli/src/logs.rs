//! Logs on standard error: for people on a terminal, JSON lines otherwise.

use std::io::IsTerminal;

use anyhow::Context;
use tracing_subscriber::EnvFilter;

/// Libraries whose news we tell ourselves, unless the filter asks for theirs. Postgres has a notice for each table that
/// is there already.
const QUIET: &str = "lapin=off,sqlx::postgres::notice=warn";

/// Starts logging what `filter` lets through.
pub fn start(filter: &str) -> anyhow::Result<()> {
    let filter = EnvFilter::try_new(format!("{QUIET},{filter}")).context("NEENA_LOG")?;
    let logs = tracing_subscriber::fmt()
        .with_env_filter(filter)
        .with_writer(std::io::stderr);
    let started = if std::io::stderr().is_terminal() {
        logs.with_target(false).try_init()
    } else {
        logs.json()
            .flatten_event(true)
            .with_current_span(false)
            .try_init()
    };
    started.map_err(|error| anyhow::anyhow!("cannot start logging: {error}"))
}
