//! Moves SQLite's log into the database file, beside the writer and not in its way.

use std::path::PathBuf;
use std::time::Duration;

use sea_orm::{ConnectionTrait, DatabaseConnection, DbErr};
use tokio_util::sync::CancellationToken;

use crate::error::is_disk_failure;
use crate::writer::Writer;

/// Below this length of the log, in bytes, nothing is moved.
const WORTH_IT: u64 = 4 << 20;
/// Past this length the log must start over, which a busy writer never lets a checkpoint beside it achieve.
const TOO_LONG: u64 = 64 << 20;

/// Looks once a second until `stop`.
pub(crate) async fn run(
    connection: DatabaseConnection,
    log: PathBuf,
    writer: Writer,
    stop: CancellationToken,
) {
    let mut ticks = tokio::time::interval(Duration::from_secs(1));
    ticks.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
    loop {
        tokio::select! {
            biased;
            () = stop.cancelled() => break,
            _ = ticks.tick() => {}
        }
        let length = tokio::fs::metadata(&log).await.map_or(0, |log| log.len());
        if length < WORTH_IT {
            continue;
        }
        if let Err(error) = connection
            .execute_unprepared("PRAGMA wal_checkpoint(PASSIVE)")
            .await
        {
            failed(&error);
        }
        if length > TOO_LONG {
            writer.settle();
        }
    }
    let _ = connection.close().await;
}

/// A checkpoint that fails loses nothing, unless the disk itself failed.
pub(crate) fn failed(error: &DbErr) {
    if is_disk_failure(error) {
        crate::writer::exit(error);
    }
    tracing::warn!(%error, "a checkpoint did not finish; the next one goes on from there");
}
