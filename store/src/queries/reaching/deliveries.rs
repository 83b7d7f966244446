//! What hooks are still to be told: taken under a lease, so that of several couriers one delivers it, and tried
//! again until it is taken or given up.

use std::time::Duration;

use neena_engine::Micros;
use sea_orm::{ConnectionTrait, DbErr, EntityTrait, FromQueryResult, IntoActiveModel, Statement};
use uuid::Uuid;

use super::{all, execute, skip_locked};
use crate::entities::delivery::{Entity, Model};

/// Hooks an organization has at most.
pub const MOST_HOOKS: u64 = 50;
/// Rows written by one statement: parameters are limited.
const AT_ONCE: usize = 500;
/// Old ones removed at a time.
const REMOVED_AT_ONCE: i64 = 500;

/// A delivery that is due at once.
pub fn due(organization: Uuid, hook: Uuid, event: &str, body: String, now: Micros) -> Model {
    Model {
        id: Uuid::now_v7(),
        organization_id: organization,
        hook_id: hook,
        event: event.to_owned(),
        recipient: None,
        body,
        link_id: None,
        state: "pending".to_owned(),
        attempts: 0,
        next_at: Some(now.0),
        error: None,
        created_at: now.0,
        ended_at: None,
    }
}

/// Adds deliveries.
pub async fn insert(db: &impl ConnectionTrait, rows: Vec<Model>) -> Result<(), DbErr> {
    let mut rows = rows.into_iter().peekable();
    while rows.peek().is_some() {
        let some: Vec<_> = rows
            .by_ref()
            .take(AT_ONCE)
            .map(IntoActiveModel::into_active_model)
            .collect();
        Entity::insert_many(some).exec_without_returning(db).await?;
    }
    Ok(())
}

/// Whether something is due: most often nothing is, and then nothing is written.
pub async fn any_due(db: &impl ConnectionTrait, now: Micros) -> Result<bool, DbErr> {
    let sql = "SELECT 1 FROM deliveries WHERE next_at <= $1 LIMIT 1";
    Ok(!all(db, sql, [now.0.into()]).await?.is_empty())
}

/// Takes what is due, the longest waiting first: nobody else takes it within the lease.
pub async fn take(
    db: &impl ConnectionTrait,
    now: Micros,
    lease: Duration,
    limit: u32,
) -> Result<Vec<Model>, DbErr> {
    let sql = format!(
        "WITH due AS MATERIALIZED (SELECT id FROM deliveries WHERE next_at <= $1 \
           ORDER BY next_at LIMIT $2{}) \
         UPDATE deliveries SET attempts = attempts + 1, next_at = $3 WHERE id IN (SELECT id FROM due) \
         RETURNING *",
        skip_locked(db)
    );
    let values = [
        now.0.into(),
        i64::from(limit).into(),
        now.after(lease).0.into(),
    ];
    let statement = Statement::from_sql_and_values(db.get_database_backend(), sql, values);
    Model::find_by_statement(statement).all(db).await
}

/// What became of an attempt.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Attempted {
    Done,
    /// To be tried again then.
    Again {
        at: Micros,
        why: String,
    },
    /// Never again.
    Failed {
        why: String,
    },
}

/// Notes what became of an attempt, unless a later one was begun.
pub async fn settle(
    db: &impl ConnectionTrait,
    delivery: &Model,
    attempted: &Attempted,
    now: Micros,
) -> Result<(), DbErr> {
    let (state, next, error, ended) = match attempted {
        Attempted::Done => ("done", None, None, Some(now.0)),
        Attempted::Again { at, why } => ("pending", Some(at.0), Some(why.clone()), None),
        Attempted::Failed { why } => ("failed", None, Some(why.clone()), Some(now.0)),
    };
    let sql = "UPDATE deliveries SET state = $1, next_at = $2, error = $3, ended_at = $4 \
         WHERE id = $5 AND attempts = $6 AND state = 'pending'";
    let values = [
        state.into(),
        next.into(),
        error.into(),
        ended.into(),
        delivery.id.into(),
        delivery.attempts.into(),
    ];
    execute(db, sql, values).await?;
    Ok(())
}

/// Removes some of those that ended before `horizon`, and links that expired before it; how many.
pub async fn forget(db: &impl ConnectionTrait, horizon: Micros) -> Result<u64, DbErr> {
    let values = || [horizon.0.into(), REMOVED_AT_ONCE.into()];
    let sql = "DELETE FROM deliveries WHERE id IN \
         (SELECT id FROM deliveries WHERE ended_at < $1 ORDER BY ended_at LIMIT $2)";
    let deliveries = execute(db, sql, values()).await?;
    let sql = "DELETE FROM approval_links WHERE id IN \
         (SELECT id FROM approval_links WHERE expires_at < $1 ORDER BY expires_at LIMIT $2)";
    Ok(deliveries + execute(db, sql, values()).await?)
}
