//! SQLite: one writer, a few readers, one process.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use futures_util::future::BoxFuture;
use parking_lot::Mutex;
use sea_orm::SqlxSqliteConnector;
use sea_orm::{ConnectionTrait, DatabaseBackend, DatabaseConnection, Statement};
use sqlx::ConnectOptions;
use sqlx::sqlite::{SqliteConnectOptions, SqliteJournalMode, SqlitePoolOptions, SqliteSynchronous};
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;

use super::Durability;
use super::executor::{Autocommit, Transaction};
use super::migrating::up;
use crate::writer::{Counts, Lane, Unit, Writer};
use crate::{Res, StoreError};

const READERS: u32 = 4;
/// Rows that a connection's thread may be ahead of whoever reads them: a page of runs, so that the two do not take
/// turns row by row.
const ROWS: usize = 1_024;

/// An open SQLite file.
#[derive(Clone, Debug)]
pub(super) struct Sqlite(Arc<Open>);

#[derive(Debug)]
struct Open {
    path: PathBuf,
    reader: Autocommit,
    writer: Writer,
    stop: CancellationToken,
    tasks: Mutex<Vec<JoinHandle<()>>>,
}

impl Drop for Open {
    /// The last handle is gone: the tasks finish what is queued and end.
    fn drop(&mut self) {
        self.stop.cancel();
    }
}

impl Sqlite {
    pub(super) async fn open(
        path: &Path,
        durability: Durability,
        counts: Arc<Counts>,
    ) -> Res<Sqlite> {
        let stop = CancellationToken::new();
        let options = SqliteConnectOptions::new()
            .filename(path)
            .create_if_missing(true)
            .journal_mode(SqliteJournalMode::Wal)
            .foreign_keys(true)
            .busy_timeout(Duration::from_secs(5))
            .row_buffer_size(ROWS)
            .disable_statement_logging();
        // Switched per group; the log is moved by checkpoints of our own.
        let write = options
            .clone()
            .synchronous(SqliteSynchronous::Normal)
            .pragma("wal_autocheckpoint", "0")
            .pragma("journal_size_limit", "67108864")
            .pragma("cache_size", "-65536");
        let (writer, task) = Writer::start(write, durability, counts, stop.clone()).await?;
        let read = options
            .clone()
            .pragma("query_only", "ON")
            .pragma("wal_autocheckpoint", "0");
        let reader = Autocommit::Sqlite(connect(read, READERS).await?);
        let moving = options
            .synchronous(SqliteSynchronous::Full)
            .pragma("wal_autocheckpoint", "0");
        let checkpoints = tokio::spawn(crate::checkpoint::run(
            connect(moving, 1).await?,
            log_of(path),
            writer.clone(),
            stop.clone(),
        ));
        let tasks = Mutex::new(vec![task, checkpoints]);
        Ok(Sqlite(Arc::new(Open {
            path: path.to_owned(),
            reader,
            writer,
            stop,
            tasks,
        })))
    }

    pub(super) fn reader(&self) -> &Autocommit {
        &self.0.reader
    }

    pub(super) async fn run<T, E, F>(&self, lane: Lane, rows: usize, work: F) -> Result<T, E>
    where
        F: for<'c> FnOnce(&'c Transaction) -> BoxFuture<'c, Result<T, E>> + Send + 'static,
        T: Send + 'static,
        E: From<StoreError> + Send + 'static,
    {
        let (unit, answer) = Unit::new(work);
        self.0.writer.submit(lane, rows, Box::new(unit));
        match answer.await {
            Ok(outcome) => outcome,
            Err(_) => Err(E::from(StoreError::Unavailable(
                "the writer has stopped".to_owned(),
            ))),
        }
    }

    /// Brings the schema up to date; how many migrations that took.
    pub(super) async fn migrate(&self) -> Res<usize> {
        self.run(Lane::Urgent, 1, |tx| {
            Box::pin(async move {
                match tx {
                    Transaction::Sqlite(tx) => up(tx).await,
                    Transaction::Postgres(_) => {
                        Err(StoreError::Refused("it is another database".to_owned()))
                    }
                }
            })
        })
        .await
    }

    pub(super) async fn check(&self) -> Res<()> {
        let statement =
            Statement::from_string(DatabaseBackend::Sqlite, "PRAGMA quick_check(1)".to_owned());
        let broken = |why: String| {
            StoreError::Refused(format!("{} is damaged: {why}", self.0.path.display()))
        };
        let row = self
            .0
            .reader
            .query_one_raw(statement)
            .await
            .map_err(|e| broken(e.to_string()))?;
        let verdict = match row {
            Some(row) => row.try_get_by_index::<String>(0)?,
            None => "no verdict".to_owned(),
        };
        if verdict == "ok" {
            Ok(())
        } else {
            Err(broken(verdict))
        }
    }

    pub(super) async fn close(&self) {
        self.0.stop.cancel();
        let tasks = std::mem::take(&mut *self.0.tasks.lock());
        for task in tasks {
            let _ = task.await;
        }
        if let Autocommit::Sqlite(reader) = &self.0.reader {
            let _ = reader.clone().close().await;
        }
    }
}

async fn connect(options: SqliteConnectOptions, connections: u32) -> Res<DatabaseConnection> {
    let pool = SqlitePoolOptions::new()
        .max_connections(connections)
        .test_before_acquire(false)
        .idle_timeout(None)
        .max_lifetime(None)
        .connect_with(options)
        .await?;
    Ok(SqlxSqliteConnector::from_sqlx_sqlite_pool(pool))
}

fn log_of(path: &Path) -> PathBuf {
    let mut name = path.as_os_str().to_owned();
    name.push("-wal");
    PathBuf::from(name)
}
