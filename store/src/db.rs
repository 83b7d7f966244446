//! The database: SQLite on one machine, Postgres for many. Reads go to [`Db::reader`], every write is a
//! unit of work that goes on even if whoever asked for it has gone.

mod connections;
mod executor;
mod hand;
mod migrating;
mod postgres;
mod reach;
mod schema;
mod session;
mod sqlite;
mod statements;

use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::{SystemTime, UNIX_EPOCH};

use futures_util::future::BoxFuture;
use neena_engine::Micros;
use sea_orm::{ConnectionTrait, DatabaseBackend};

use crate::writer::{Counts, Lane};
use crate::{Res, StoreError};
pub use connections::Connections;
pub(crate) use executor::Executor;
pub use executor::{Autocommit, Transaction};
pub(crate) use postgres::{CLOCK as POSTGRES_CLOCK, OneStatement, Postgres};
pub use reach::{Unreached, reach};
pub use schema::Schema;
use sqlite::Sqlite;

/// How much a durable commit on SQLite waits for.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Durability {
    /// The disk: an acknowledged commit survives a power cut.
    #[default]
    Full,
    /// The operating system: an acknowledged commit survives a crash of the process, not a power cut.
    Fast,
}

/// How many commits were made since the start.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Commits {
    /// Answered after the log was on disk.
    pub durable: u64,
    /// Not waited for.
    pub lazy: u64,
}

/// A handle to the database; cheap to clone.
#[derive(Clone, Debug)]
pub struct Db {
    kind: Kind,
    counts: Arc<Counts>,
}

#[derive(Clone, Debug)]
enum Kind {
    Sqlite(Sqlite),
    Postgres(Arc<Postgres>),
}

impl Db {
    /// Opens the SQLite file at `path` and makes it if it is not there. The caller holds a lock that
    /// keeps every other process off it.
    pub async fn sqlite(path: &Path, durability: Durability) -> Res<Db> {
        let counts = Arc::new(Counts::default());
        let sqlite = Sqlite::open(path, durability, Arc::clone(&counts)).await?;
        Ok(Db {
            kind: Kind::Sqlite(sqlite),
            counts,
        })
    }

    /// Connects to Postgres at `url` (`postgres://…`), with as many connections as usual.
    pub async fn postgres(url: &str) -> Res<Db> {
        Db::postgres_with(url, &Connections::default()).await
    }

    /// Connects to Postgres at `url`, with at most so many connections.
    pub async fn postgres_with(url: &str, connections: &Connections) -> Res<Db> {
        let counts = Arc::new(Counts::default());
        let postgres = Postgres::connect(url, connections, Arc::clone(&counts)).await?;
        Ok(Db {
            kind: Kind::Postgres(Arc::new(postgres)),
            counts,
        })
    }

    /// For reads. On SQLite it can do nothing else, and sees what is committed.
    pub fn reader(&self) -> &Autocommit {
        match &self.kind {
            Kind::Sqlite(sqlite) => sqlite.reader(),
            Kind::Postgres(postgres) => postgres.reader(),
        }
    }

    /// A unit of work, whole or not at all, detached from the caller: it goes on if the caller is
    /// dropped. Answered once it is durable. On SQLite a full queue is [`StoreError::Unavailable`] at once.
    pub async fn unit<T, E, F>(&self, work: F) -> Result<T, E>
    where
        F: for<'c> FnOnce(&'c Transaction) -> BoxFuture<'c, Result<T, E>> + Send + 'static,
        T: Send + 'static,
        E: From<StoreError> + Send + 'static,
    {
        self.run(Lane::Api, 1, work).await
    }

    /// Like [`Db::unit`], but its commit does not wait for the disk: a power cut may lose it, though
    /// never without everything committed after it.
    pub async fn lazy<T, E, F>(&self, work: F) -> Result<T, E>
    where
        F: for<'c> FnOnce(&'c Transaction) -> BoxFuture<'c, Result<T, E>> + Send + 'static,
        T: Send + 'static,
        E: From<StoreError> + Send + 'static,
    {
        self.run(Lane::Lazy, 1, work).await
    }

    /// A unit of work in a lane of its own, which writes about `rows` rows.
    pub(crate) async fn run<T, E, F>(&self, lane: Lane, rows: usize, work: F) -> Result<T, E>
    where
        F: for<'c> FnOnce(&'c Transaction) -> BoxFuture<'c, Result<T, E>> + Send + 'static,
        T: Send + 'static,
        E: From<StoreError> + Send + 'static,
    {
        match &self.kind {
            Kind::Sqlite(sqlite) => sqlite.run(lane, rows, work).await,
            Kind::Postgres(postgres) => postgres.run(lane, work).await,
        }
    }

    /// Work whose statements each stand by themselves: on Postgres they are sent without a transaction
    /// around them, on SQLite they are a job of the writer like any other.
    pub(crate) async fn single<T, F>(&self, lane: Lane, work: F) -> Res<T>
    where
        F: for<'c> FnOnce(Executor<'c>) -> BoxFuture<'c, Res<T>> + Send + 'static,
        T: Send + 'static,
    {
        match &self.kind {
            Kind::Sqlite(sqlite) => sqlite.run(lane, 1, |tx| work(Executor::Within(tx))).await,
            Kind::Postgres(postgres) => postgres.single(lane, work).await,
        }
    }

    /// Where this is Postgres.
    pub(crate) fn on_postgres(&self) -> Option<&Postgres> {
        match &self.kind {
            Kind::Sqlite(_) => None,
            Kind::Postgres(postgres) => Some(postgres),
        }
    }

    /// Counts a commit that a single statement made.
    pub(crate) fn count(&self, durable: bool) {
        if matches!(self.kind, Kind::Postgres(_)) {
            self.counts.add(durable);
        }
    }

    /// Whether it answers.
    pub async fn ping(&self) -> Res<()> {
        self.reader().execute_unprepared("SELECT 1").await?;
        Ok(())
    }

    /// The database's clock: on SQLite that of this machine, which is the only one.
    pub async fn now(&self) -> Res<Micros> {
        now(self.reader()).await
    }

    /// Commits so far, for measurements.
    pub fn commits(&self) -> Commits {
        Commits {
            durable: self.counts.durable.load(Ordering::Relaxed),
            lazy: self.counts.lazy.load(Ordering::Relaxed),
        }
    }

    /// Brings the schema up to date; how many migrations that took. Processes that start together wait for
    /// each other.
    pub async fn migrate(&self) -> Res<usize> {
        match &self.kind {
            Kind::Sqlite(sqlite) => sqlite.migrate().await,
            Kind::Postgres(postgres) => postgres.migrate().await,
        }
    }

    /// Whether the file is whole, as far as a quick look tells; always so on Postgres, which checks its
    /// pages itself. Reads the whole file.
    pub async fn check(&self) -> Res<()> {
        match &self.kind {
            Kind::Sqlite(sqlite) => sqlite.check().await,
            Kind::Postgres(_) => Ok(()),
        }
    }

    /// Finishes what is queued, then closes every connection. Units that come later are turned away.
    pub async fn close(&self) {
        match &self.kind {
            Kind::Sqlite(sqlite) => sqlite.close().await,
            Kind::Postgres(postgres) => postgres.close().await,
        }
    }
}

/// The clock of the database behind `connection`, on SQLite that of this machine.
pub async fn now(connection: &impl ConnectionTrait) -> Res<Micros> {
    match connection.get_database_backend() {
        DatabaseBackend::Postgres => postgres::now(connection).await,
        _ => Ok(this_machine()),
    }
}

fn this_machine() -> Micros {
    let since = SystemTime::now()
        .duration_since(UNIX_EPOCH)
        .unwrap_or_default();
    Micros(i64::try_from(since.as_micros()).unwrap_or(i64::MAX))
}
