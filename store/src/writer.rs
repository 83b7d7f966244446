//! SQLite's one writer: a task that owns the only write connection and commits in groups.
//!
//! Jobs that wait at the same time share one transaction, each in a savepoint of its own, and are
//! answered after its commit. The first job of a group needs no savepoint: if it fails, the
//! transaction holds nothing else.

mod group;
mod job;

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use sea_orm::{ConnectionTrait, DatabaseConnection};
use sea_orm::{SqliteTransactionMode, SqlxSqliteConnector, TransactionOptions, TransactionTrait};
use sqlx::sqlite::{SqliteConnectOptions, SqlitePool, SqlitePoolOptions};
use tokio::sync::mpsc;
use tokio_util::sync::CancellationToken;

pub(crate) use group::exit;
pub(crate) use job::{Job, Unit, guarded};

use crate::db::{Durability, Transaction};
use crate::{Res, StoreError};

/// How many jobs may wait in a lane; beyond that callers are turned away at once.
const QUEUE: usize = 1_024;

/// Which jobs go first.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Lane {
    /// Units of work of the API: somebody waits for an answer.
    Api,
    /// The journal's durable batches.
    Urgent,
    /// Whatever nobody waits for; committed without waiting for the disk.
    Lazy,
    /// Like `Lazy`; on Postgres it has a connection that nobody else uses.
    Beat,
}

/// How many commits were made.
#[derive(Debug, Default)]
pub(crate) struct Counts {
    pub(crate) durable: AtomicU64,
    pub(crate) lazy: AtomicU64,
}

impl Counts {
    pub(crate) fn add(&self, durable: bool) {
        let count = if durable { &self.durable } else { &self.lazy };
        count.fetch_add(1, Ordering::Relaxed);
    }
}

/// A job, and how many rows it is about to write.
struct Queued {
    job: Box<dyn Job>,
    rows: usize,
}

/// Where jobs are handed in.
#[derive(Clone, Debug)]
pub(crate) struct Writer {
    api: mpsc::Sender<Queued>,
    urgent: mpsc::Sender<Queued>,
    lazy: mpsc::Sender<Queued>,
    settle: mpsc::Sender<()>,
}

impl Writer {
    /// Opens the write connection and starts the task; `stop` ends it once its queues are empty.
    pub(crate) async fn start(
        options: SqliteConnectOptions,
        durability: Durability,
        counts: Arc<Counts>,
        stop: CancellationToken,
    ) -> Res<(Writer, tokio::task::JoinHandle<()>)> {
        let (api, api_jobs) = mpsc::channel(QUEUE);
        let (urgent, urgent_jobs) = mpsc::channel(QUEUE);
        let (lazy, lazy_jobs) = mpsc::channel(QUEUE);
        let (settle, settles) = mpsc::channel(1);
        let mut task = Task {
            api: api_jobs,
            urgent: urgent_jobs,
            lazy: lazy_jobs,
            settles,
            connection: None,
            options,
            durability,
            full: false,
            unsynced: false,
            counts,
        };
        task.connect().await?;
        let handle = tokio::spawn(task.run(stop));
        Ok((
            Writer {
                api,
                urgent,
                lazy,
                settle,
            },
            handle,
        ))
    }

    /// Queues a job that writes about `rows` rows; turned away if its lane is full.
    pub(crate) fn submit(&self, lane: Lane, rows: usize, job: Box<dyn Job>) {
        let sender = match lane {
            Lane::Api => &self.api,
            Lane::Urgent => &self.urgent,
            Lane::Lazy | Lane::Beat => &self.lazy,
        };
        if let Err(refused) = sender.try_send(Queued { job, rows }) {
            let (why, queued) = match refused {
                mpsc::error::TrySendError::Full(queued) => ("too many writes are waiting", queued),
                mpsc::error::TrySendError::Closed(queued) => ("it is closed", queued),
            };
            queued
                .job
                .answer(Err(StoreError::Unavailable(why.to_owned())));
        }
    }

    /// Asks for a checkpoint between two groups, when no write can outrun it.
    pub(crate) fn settle(&self) {
        // One is waiting already: that is as good.
        let _ = self.settle.try_send(());
    }
}

struct Task {
    api: mpsc::Receiver<Queued>,
    urgent: mpsc::Receiver<Queued>,
    lazy: mpsc::Receiver<Queued>,
    settles: mpsc::Receiver<()>,
    /// None after a failure that left its state in doubt: opened anew by the next group.
    connection: Option<DatabaseConnection>,
    options: SqliteConnectOptions,
    durability: Durability,
    /// Whether the connection's `synchronous` is FULL now.
    full: bool,
    /// Whether something was committed that no sync has covered yet.
    unsynced: bool,
    counts: Arc<Counts>,
}

impl Task {
    async fn run(mut self, stop: CancellationToken) {
        loop {
            tokio::select! {
                biased;
                // At most once a second; behind the jobs it would never have its turn when it is needed.
                Some(()) = self.settles.recv() => self.checkpoint().await,
                Some(job) = self.api.recv() => self.group(job, true).await,
                Some(job) = self.urgent.recv() => self.group(job, true).await,
                Some(job) = self.lazy.recv() => self.group(job, false).await,
                () = stop.cancelled() => break,
                else => break,
            }
        }
        for lane in [&mut self.api, &mut self.urgent, &mut self.lazy] {
            lane.close();
        }
        while let Some(job) = self.next_job(true, Duration::ZERO) {
            self.group(job, true).await;
        }
        if let Some(connection) = self.connection.take() {
            let _ = connection.close().await;
        }
    }

    /// The next job that may be part of a group. A group that is not durable takes lazy jobs only,
    /// and none while others wait. Past `patience` the API's lane gives way to the others once.
    fn next_job(&mut self, durable: bool, elapsed: Duration) -> Option<Queued> {
        const PATIENCE: Duration = Duration::from_millis(3);
        if !durable {
            return match self.api.is_empty() && self.urgent.is_empty() {
                true => self.lazy.try_recv().ok(),
                false => None,
            };
        }
        let lanes = match elapsed < PATIENCE {
            true => [&mut self.api, &mut self.urgent, &mut self.lazy],
            false => [&mut self.urgent, &mut self.lazy, &mut self.api],
        };
        lanes.into_iter().find_map(|lane| lane.try_recv().ok())
    }

    async fn connect(&mut self) -> Res<()> {
        let pool: SqlitePool = SqlitePoolOptions::new()
            .max_connections(1)
            .min_connections(1)
            .test_before_acquire(false)
            .idle_timeout(None)
            .max_lifetime(None)
            .connect_with(self.options.clone())
            .await?;
        self.connection = Some(SqlxSqliteConnector::from_sqlx_sqlite_pool(pool));
        self.full = false;
        Ok(())
    }

    /// Drops the connection: what it had open is rolled back.
    async fn disconnect(&mut self) {
        if let Some(connection) = self.connection.take() {
            let _ = connection.close().await;
        }
    }

    /// Opens a transaction whose commit is as durable as asked.
    async fn begin(&mut self, durable: bool) -> Res<Transaction> {
        if self.connection.is_none() {
            self.connect().await?;
        }
        let Some(connection) = &self.connection else {
            return Err(StoreError::Unavailable("no connection".to_owned()));
        };
        let full = durable && self.durability == Durability::Full;
        if full != self.full {
            let level = if full { "FULL" } else { "NORMAL" };
            connection
                .execute_unprepared(&format!("PRAGMA synchronous = {level}"))
                .await?;
            self.full = full;
        }
        let immediate = TransactionOptions {
            sqlite_transaction_mode: Some(SqliteTransactionMode::Immediate),
            ..Default::default()
        };
        let tx = connection.begin_with_options(immediate).await?;
        Ok(Transaction::Sqlite(tx))
    }

    async fn checkpoint(&mut self) {
        let Some(connection) = &self.connection else {
            return;
        };
        if let Err(error) = connection
            .execute_unprepared("PRAGMA wal_checkpoint(PASSIVE)")
            .await
        {
            crate::checkpoint::failed(&error);
        }
    }
}
