//! How people are reached: whom an ask concerns, what hooks are told, what is still to be delivered, and the links
//! that decide. Nothing here happens in the transaction of a decision.

pub mod deliveries;
pub mod hooks;
pub mod links;
pub mod news;
pub mod people;

use sea_orm::{ConnectionTrait, DatabaseBackend, DbErr, QueryResult, Statement, Value};
use uuid::Uuid;

/// How a SELECT takes its rows for itself, leaving out those that others hold.
fn skip_locked(connection: &impl ConnectionTrait) -> &'static str {
    match connection.get_database_backend() {
        DatabaseBackend::Postgres => " FOR NO KEY UPDATE SKIP LOCKED",
        _ => "",
    }
}

/// The rows of a statement.
async fn all(
    connection: &impl ConnectionTrait,
    sql: impl Into<String>,
    values: impl IntoIterator<Item = Value>,
) -> Result<Vec<QueryResult>, DbErr> {
    let backend = connection.get_database_backend();
    connection
        .query_all_raw(Statement::from_sql_and_values(backend, sql, values))
        .await
}

/// How many rows a statement changed.
async fn execute(
    connection: &impl ConnectionTrait,
    sql: impl Into<String>,
    values: impl IntoIterator<Item = Value>,
) -> Result<u64, DbErr> {
    let backend = connection.get_database_backend();
    let done = connection
        .execute_raw(Statement::from_sql_and_values(backend, sql, values))
        .await?;
    Ok(done.rows_affected())
}

/// `$3, $4, …` for so many values, the first of which is `$first`.
fn places(first: usize, count: usize) -> String {
    let places: Vec<String> = (first..first + count).map(|at| format!("${at}")).collect();
    places.join(", ")
}

/// Ids as values.
fn ids(ids: &[Uuid]) -> impl Iterator<Item = Value> + '_ {
    ids.iter().map(|id| Value::from(*id))
}
