//! Postgres: pooled connections, one pool whose commits wait for the disk and one whose do not.

use std::sync::Arc;

use futures_util::future::BoxFuture;
use neena_engine::Micros;
use sea_orm::{
    ConnectionTrait, DatabaseBackend, DatabaseConnection, DatabaseTransaction, Statement,
};
use sea_orm::{SqlxPostgresConnector, TransactionTrait};
use sqlx::ConnectOptions;
use sqlx::postgres::{PgConnectOptions, PgPoolOptions};

use crate::writer::{Counts, Lane, guarded};
use crate::{Res, StoreError};

const DURABLE_CONNECTIONS: u32 = 16;
const LAZY_CONNECTIONS: u32 = 4;

/// A number nobody else locks: two processes that start together migrate one after the other.
const MIGRATIONS: i64 = 0x006e_6565_6e61;

/// Pools of connections to one database.
#[derive(Clone, Debug)]
pub(super) struct Postgres {
    durable: DatabaseConnection,
    lazy: DatabaseConnection,
    counts: Arc<Counts>,
}

impl Postgres {
    pub(super) async fn connect(url: &str, counts: Arc<Counts>) -> Res<Postgres> {
        let options: PgConnectOptions = url.parse()?;
        // Given with the connection, so that no statement in between is needed and none is forgotten.
        let options = options.disable_statement_logging().options([
            ("lock_timeout", "2s"),
            ("statement_timeout", "5s"),
            ("idle_in_transaction_session_timeout", "10s"),
        ]);
        let lazy = options.clone().options([("synchronous_commit", "off")]);
        Ok(Postgres {
            durable: pool(options, DURABLE_CONNECTIONS).await?,
            lazy: pool(lazy, LAZY_CONNECTIONS).await?,
            counts,
        })
    }

    pub(super) fn reader(&self) -> &DatabaseConnection {
        &self.durable
    }

    pub(super) async fn run<T, E, F>(&self, lane: Lane, work: F) -> Result<T, E>
    where
        F: for<'c> FnOnce(&'c DatabaseTransaction) -> BoxFuture<'c, Result<T, E>> + Send + 'static,
        T: Send + 'static,
        E: From<StoreError> + Send + 'static,
    {
        let durable = lane != Lane::Lazy;
        let connection = if durable {
            self.durable.clone()
        } else {
            self.lazy.clone()
        };
        let counts = Arc::clone(&self.counts);
        // A task of its own: a transaction dropped half-way would leave its session open in the pool.
        let unit = tokio::spawn(async move {
            let tx = connection
                .begin()
                .await
                .map_err(|error| E::from(error.into()))?;
            match guarded(work, &tx).await {
                Ok(answer) => {
                    tx.commit()
                        .await
                        .map_err(|error| E::from(StoreError::of_commit(error)))?;
                    counts.add(durable);
                    Ok(answer)
                }
                Err(error) => {
                    if let Err(error) = tx.rollback().await {
                        tracing::warn!(%error, "a rollback failed; its connection is dropped");
                    }
                    Err(error)
                }
            }
        });
        match unit.await {
            Ok(outcome) => outcome,
            Err(_) => Err(E::from(StoreError::Unknown(
                "the unit of work was aborted".to_owned(),
            ))),
        }
    }

    pub(super) async fn close(&self) {
        let _ = self.durable.clone().close().await;
        let _ = self.lazy.clone().close().await;
    }
}

/// Postgres's clock, which every process goes by.
pub(super) async fn now(connection: &impl ConnectionTrait) -> Res<Micros> {
    let statement = Statement::from_string(
        DatabaseBackend::Postgres,
        "SELECT (extract(epoch FROM clock_timestamp()) * 1000000)::bigint".to_owned(),
    );
    let row = connection.query_one_raw(statement).await?;
    let row = row.ok_or_else(|| StoreError::Unavailable("the clock gave no answer".to_owned()))?;
    Ok(Micros(row.try_get_by_index(0)?))
}

/// Waits for its turn to migrate; given back with the transaction.
pub(super) async fn lock_migrations(tx: &DatabaseTransaction) -> Res<()> {
    tx.execute_unprepared("SET LOCAL lock_timeout = 0").await?;
    tx.execute_unprepared("SET LOCAL statement_timeout = 0")
        .await?;
    tx.execute_unprepared(&format!("SELECT pg_advisory_xact_lock({MIGRATIONS})"))
        .await?;
    Ok(())
}

async fn pool(options: PgConnectOptions, connections: u32) -> Res<DatabaseConnection> {
    let pool = PgPoolOptions::new()
        .max_connections(connections)
        .connect_with(options)
        .await?;
    Ok(SqlxPostgresConnector::from_sqlx_postgres_pool(pool))
}
