//! Postgres: units of work in transactions, single statements without, each on connections of its kind.

use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use futures_util::future::BoxFuture;
use neena_engine::Micros;
use sea_orm::{
    ConnectionTrait, DatabaseBackend, DatabaseTransaction, SqlxPostgresConnector, Statement,
    TransactionTrait,
};
use sqlx::postgres::{PgConnection, PgPool, PgPoolOptions, PgRow};
use tokio::time::{Instant, timeout};

use super::connections::{Connections, Pools};
use super::executor::{Autocommit, Executor, Transaction};
use super::hand::Hand;
use super::migrating::up;
use super::session::Session;
use crate::error::lost_before_commit;
use crate::writer::{Counts, Lane, guarded};
use crate::{Res, StoreError};

/// Longer than the server lets a statement take: no answer after this means that none will come.
const STATEMENT: Duration = Duration::from_secs(8);
/// How long a unit of work may take; it has a few statements, and waits for others' at most.
const UNIT: Duration = Duration::from_secs(20);

/// How long migrations may take, with those of the processes before.
const MIGRATION: Duration = Duration::from_secs(3_600);

/// A number nobody else locks: two processes that start together migrate one after the other.
const MIGRATIONS: i64 = 0x006e_6565_6e61;

/// The clock, in SQL.
pub(crate) const CLOCK: &str = "(extract(epoch FROM clock_timestamp()) * 1000000)::bigint";

/// A statement that stands by itself, with its values.
pub(crate) trait OneStatement: Sync {
    /// Sends it; the rows it answers with.
    fn send<'c>(
        &'c self,
        connection: &'c mut PgConnection,
    ) -> BoxFuture<'c, Result<Vec<PgRow>, sqlx::Error>>;
}

/// Connections to one database.
#[derive(Clone, Debug)]
pub(crate) struct Postgres {
    pools: Pools,
    journal: Hand,
    units: Hand,
    lazy: Hand,
    beat: Hand,
    reads: Autocommit,
    patience: Duration,
    counts: Arc<Counts>,
}

impl Postgres {
    pub(super) async fn connect(
        url: &str,
        sizes: &Connections,
        counts: Arc<Counts>,
    ) -> Res<Postgres> {
        let pools = Pools::open(url, sizes).await?;
        let hand = |pool: &PgPool| Hand::new(pool.clone());
        Ok(Postgres {
            journal: hand(&pools.journal),
            units: hand(&pools.units),
            lazy: hand(&pools.lazy),
            beat: hand(&pools.beat),
            reads: Autocommit::Postgres(hand(&pools.reads)),
            pools,
            patience: sizes.patience,
            counts,
        })
    }

    pub(super) fn reader(&self) -> &Autocommit {
        &self.reads
    }

    /// A unit of work in a transaction of its own.
    pub(super) async fn run<T, E, F>(&self, lane: Lane, work: F) -> Result<T, E>
    where
        F: for<'c> FnOnce(&'c Transaction) -> BoxFuture<'c, Result<T, E>> + Send + 'static,
        T: Send + 'static,
        E: From<StoreError> + Send + 'static,
    {
        let (hand, durable) = match lane {
            Lane::Api | Lane::Urgent => (self.units.clone(), true),
            Lane::Lazy | Lane::Beat => (self.lazy.clone(), false),
        };
        let (counts, patience) = (Arc::clone(&self.counts), self.patience);
        let unit = async move {
            let tx = begin(&hand, patience).await.map_err(E::from)?;
            match guarded(work, &tx).await {
                Ok(answer) => {
                    // Before it is sent: whoever sees what it wrote finds it counted.
                    counts.add(durable);
                    tx.commit()
                        .await
                        .map_err(|error| E::from(StoreError::of_commit(error)))?;
                    Ok(answer)
                }
                Err(error) => {
                    if let Err(error) = tx.rollback().await {
                        tracing::warn!(%error, "a rollback failed; its connection is dropped");
                    }
                    Err(error)
                }
            }
        };
        if inline() {
            return unit.await;
        }
        // A task of its own: a transaction dropped half-way costs its connection.
        let unit = tokio::spawn(unit);
        match timeout(UNIT, unit).await {
            Ok(Ok(outcome)) => outcome,
            Ok(Err(_)) => Err(E::from(StoreError::Unknown(
                "the unit of work was aborted".to_owned(),
            ))),
            Err(_) => Err(E::from(StoreError::Unknown(
                "the database does not answer".to_owned(),
            ))),
        }
    }

    /// Statements that each stand by themselves, without a transaction around them. On the lazy
    /// connections, or on the one of the beat.
    pub(super) async fn single<T, F>(&self, lane: Lane, work: F) -> Res<T>
    where
        F: for<'c> FnOnce(Executor<'c>) -> BoxFuture<'c, Res<T>> + Send,
        T: Send,
    {
        let hand = match lane {
            Lane::Api | Lane::Urgent => &self.units,
            Lane::Lazy => &self.lazy,
            Lane::Beat => &self.beat,
        };
        match timeout(STATEMENT, work(Executor::Alone(hand))).await {
            Ok(answer) => answer.map_err(StoreError::of_autocommit),
            Err(_) => Err(silent()),
        }
    }

    /// A statement of the journal's; the rows it answers with. It is its own transaction, so a
    /// connection lost meanwhile leaves unknown what became of it. `check` is asked with [`Postgres::lives`]
    /// of the very connection before anything is sent.
    pub(crate) async fn batch(
        &self,
        durable: bool,
        statement: &impl OneStatement,
        check: impl FnOnce(u64) -> Res<()>,
    ) -> Res<Vec<PgRow>> {
        let hand = match durable {
            true => &self.journal,
            false => &self.lazy,
        };
        let mut lent = hand.take().await?;
        check(self.lives())?;
        self.counts.add(durable);
        match timeout(STATEMENT, statement.send(lent.connection())).await {
            Ok(outcome) => {
                lent.end(&outcome);
                outcome.map_err(StoreError::of_statement)
            }
            Err(_) => {
                lent.close();
                Err(silent())
            }
        }
    }

    /// Brings the schema up to date; how many migrations that took. On a connection of its own, made for it: the pool's
    /// may all be at hand.
    pub(super) async fn migrate(&self) -> Res<usize> {
        let options = self.pools.units.connect_options();
        let alone = PgPoolOptions::new().max_connections(1);
        let pool = alone.connect_with((*options).clone()).await?;
        let counts = Arc::clone(&self.counts);
        let migration = tokio::spawn(async move {
            let connection = SqlxPostgresConnector::from_sqlx_postgres_pool(pool.clone());
            let tx = connection.begin().await?;
            lock_migrations(&tx).await?;
            let applied = up(&tx).await?;
            counts.add(true);
            tx.commit().await.map_err(StoreError::of_commit)?;
            pool.close().await;
            Ok(applied)
        });
        match timeout(MIGRATION, migration).await {
            Ok(Ok(outcome)) => outcome,
            Ok(Err(_)) | Err(_) => Err(silent()),
        }
    }

    /// A number that grows with each connection made for batches. While it is the same, the server has not
    /// crashed: it would have closed them all.
    pub(crate) fn lives(&self) -> u64 {
        self.pools.lives.load(Ordering::Acquire)
    }

    pub(super) async fn close(&self) {
        let closing = self.pools.close();
        for hand in [&self.journal, &self.units, &self.lazy, &self.beat] {
            hand.empty();
        }
        if let Autocommit::Postgres(reads) = &self.reads {
            reads.empty();
        }
        closing.await;
    }
}

/// Begins a transaction. A connection that turns out to be gone is replaced: nothing was asked of it yet.
async fn begin(hand: &Hand, patience: Duration) -> Res<Transaction> {
    let start = Instant::now();
    loop {
        match Session::begin(hand).await {
            Err(error) if lost_before_commit(&error) && start.elapsed() < patience => {}
            begun => return Ok(Transaction::Postgres(begun?)),
        }
    }
}

/// A planted bug: units of work end with whoever asked for them.
fn inline() -> bool {
    fail::fail_point!("unit.inline", |_| true);
    false
}

fn silent() -> StoreError {
    StoreError::Unknown("the database does not answer".to_owned())
}

/// Postgres's clock, which every process goes by.
pub(super) async fn now(connection: &impl ConnectionTrait) -> Res<Micros> {
    let statement = Statement::from_string(DatabaseBackend::Postgres, format!("SELECT {CLOCK}"));
    let row = connection.query_one_raw(statement).await?;
    let row = row.ok_or_else(|| StoreError::Unavailable("the clock gave no answer".to_owned()))?;
    Ok(Micros(row.try_get_by_index(0)?))
}

/// Waits for its turn to migrate; given back with the transaction.
async fn lock_migrations(tx: &DatabaseTransaction) -> Res<()> {
    tx.execute_unprepared("SET LOCAL lock_timeout = 0").await?;
    tx.execute_unprepared("SET LOCAL statement_timeout = 0")
        .await?;
    tx.execute_unprepared(&format!("SELECT pg_advisory_xact_lock({MIGRATIONS})"))
        .await?;
    Ok(())
}
