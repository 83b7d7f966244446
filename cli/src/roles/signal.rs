//! Stopping: SIGTERM and SIGINT ask for it, and it does not take for ever.

use std::time::Duration;

use anyhow::Context;
use tokio::signal::unix::{SignalKind, signal};
use tokio_util::sync::CancellationToken;

/// How long past the grace a stop may take before the process just ends: a database that does not answer is
/// not waited for. What is lost so is what a crash loses: others take the runs when the lease is over.
const LAST: Duration = Duration::from_secs(5);

/// Cancelled by the first SIGTERM or SIGINT. A second one, or the end of the grace and of [`LAST`], ends the
/// process at once.
pub(super) fn stop(grace: Duration) -> anyhow::Result<CancellationToken> {
    let stop = CancellationToken::new();
    let cancelled = stop.clone();
    let mut terminate = signal(SignalKind::terminate()).context("cannot listen for SIGTERM")?;
    let mut interrupt = signal(SignalKind::interrupt()).context("cannot listen for SIGINT")?;
    tokio::spawn(async move {
        tokio::select! {
            _ = terminate.recv() => {}
            _ = interrupt.recv() => {}
        }
        tracing::info!("stopping: nothing new is taken, what is under way may finish");
        cancelled.cancel();
        let code = tokio::select! {
            _ = terminate.recv() => {
                tracing::warn!("told again: stopping at once");
                130
            }
            _ = interrupt.recv() => {
                tracing::warn!("told again: stopping at once");
                130
            }
            () = tokio::time::sleep(grace + LAST) => {
                tracing::error!("not everything could be finished in time: stopping at once");
                1
            }
        };
        std::process::exit(code);
    });
    Ok(stop)
}
