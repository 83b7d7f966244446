//! Statements on a connection of Postgres, and each on one that is at hand. sea-orm sends them by a pool only, which it
//! gives each connection back to.

use sea_orm::sea_query::Values;
use sea_orm::{ConnectionTrait, DbBackend, DbErr, ExecResult, QueryResult, RuntimeErr, Statement};
use sea_query_sqlx::SqlxValues;
use sqlx::postgres::PgConnection;
use sqlx::query::Query;
use sqlx::{AssertSqlSafe, Error, Executor, Postgres};

use super::hand::Hand;

#[async_trait::async_trait]
impl ConnectionTrait for Hand {
    fn get_database_backend(&self) -> DbBackend {
        DbBackend::Postgres
    }

    async fn execute_raw(&self, statement: Statement) -> Result<ExecResult, DbErr> {
        let mut lent = self.take().await.map_err(not_acquired)?;
        let outcome = execute(lent.connection(), &statement).await;
        lent.end(&outcome);
        outcome.map_err(of_execution)
    }

    async fn execute_unprepared(&self, sql: &str) -> Result<ExecResult, DbErr> {
        let mut lent = self.take().await.map_err(not_acquired)?;
        let outcome = unprepared(lent.connection(), sql).await;
        lent.end(&outcome);
        outcome.map_err(of_execution)
    }

    async fn query_one_raw(&self, statement: Statement) -> Result<Option<QueryResult>, DbErr> {
        let mut lent = self.take().await.map_err(not_acquired)?;
        let outcome = one(lent.connection(), &statement).await;
        lent.end(&outcome);
        outcome.map_err(of_query)
    }

    async fn query_all_raw(&self, statement: Statement) -> Result<Vec<QueryResult>, DbErr> {
        let mut lent = self.take().await.map_err(not_acquired)?;
        let outcome = all(lent.connection(), &statement).await;
        lent.end(&outcome);
        outcome.map_err(of_query)
    }
}

pub(super) async fn execute(
    connection: &mut PgConnection,
    statement: &Statement,
) -> Result<ExecResult, Error> {
    Ok(query(statement).execute(connection).await?.into())
}

pub(super) async fn unprepared(
    connection: &mut PgConnection,
    sql: &str,
) -> Result<ExecResult, Error> {
    Ok(connection.execute(AssertSqlSafe(sql)).await?.into())
}

pub(super) async fn one(
    connection: &mut PgConnection,
    statement: &Statement,
) -> Result<Option<QueryResult>, Error> {
    let row = query(statement).fetch_optional(connection).await?;
    Ok(row.map(QueryResult::from))
}

pub(super) async fn all(
    connection: &mut PgConnection,
    statement: &Statement,
) -> Result<Vec<QueryResult>, Error> {
    let rows = query(statement).fetch_all(connection).await?;
    Ok(rows.into_iter().map(QueryResult::from).collect())
}

/// With its values; the server prepares it once for each connection.
fn query(statement: &Statement) -> Query<'_, Postgres, SqlxValues> {
    let values = statement.values.clone();
    let values = values.unwrap_or_else(|| Values(Vec::new()));
    sqlx::query_with(AssertSqlSafe(statement.sql.as_str()), SqlxValues(values))
}

pub(super) fn of_execution(error: Error) -> DbErr {
    DbErr::Exec(RuntimeErr::SqlxError(error.into()))
}

pub(super) fn of_query(error: Error) -> DbErr {
    DbErr::Query(RuntimeErr::SqlxError(error.into()))
}

pub(super) fn not_acquired(error: Error) -> DbErr {
    DbErr::Conn(RuntimeErr::SqlxError(error.into()))
}
