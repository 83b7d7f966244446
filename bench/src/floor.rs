//! The physical floor: bare commits through the same driver, bare calls of the same warm host.

use std::path::Path;
use std::time::{Duration, Instant};

use futures_util::FutureExt;
use neena_store::{Db, Durability, StoreError};
use sea_orm::ConnectionTrait;

/// A database of its own with one small table.
#[derive(Debug)]
pub struct Bare(Db);

impl Bare {
    pub async fn open(path: &Path) -> anyhow::Result<Bare> {
        let db = Db::sqlite(path, Durability::Full).await?;
        execute(
            &db,
            "CREATE TABLE IF NOT EXISTS bare (id INTEGER PRIMARY KEY, body TEXT)",
        )
        .await?;
        Ok(Bare(db))
    }

    /// How long `count` commits of one row take, one after the other.
    pub async fn commits(&self, count: u64) -> anyhow::Result<Duration> {
        let began = Instant::now();
        for _ in 0..count {
            execute(
                &self.0,
                "INSERT INTO bare (body) VALUES ('a row of about the size of a task run')",
            )
            .await?;
        }
        Ok(began.elapsed())
    }
}

async fn execute(db: &Db, sql: &'static str) -> anyhow::Result<()> {
    db.unit(move |tx| {
        async move {
            tx.execute_unprepared(sql)
                .await
                .map_err(|error| StoreError::Refused(error.to_string()))?;
            Ok::<(), StoreError>(())
        }
        .boxed()
    })
    .await?;
    Ok(())
}
