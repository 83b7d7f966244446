//! Answers kept under a client's `Idempotency-Key`, written in the transaction of what they answer.

use std::time::Duration;

use neena_engine::ids::{OrganizationId, UserId};
use neena_engine::{Hash, Micros};
use sea_orm::sea_query::{Expr, ExprTrait, LockBehavior, LockType, OnConflict, Query};
use sea_orm::{ColumnTrait, ConnectionTrait, DbErr, EntityTrait, IntoActiveModel, QueryFilter};

use crate::entities::idempotency_key::{ActiveModel, Column, Entity, Model};

/// How long an answer is kept.
pub const KEPT: Duration = Duration::from_secs(24 * 60 * 60);

/// Expired answers removed along with a new one: more than are added, and few enough to be quick.
const REMOVED_AT_ONCE: u64 = 100;

/// Whose key it is.
#[derive(Clone, Debug)]
pub struct Key {
    pub organization: OrganizationId,
    pub user: UserId,
    pub key: String,
}

/// The row of a key, unless it has expired.
pub async fn find(
    db: &impl ConnectionTrait,
    key: &Key,
    now: Micros,
) -> Result<Option<Model>, DbErr> {
    let id = (key.organization.0, key.user.0, key.key.clone());
    let row = Entity::find_by_id(id).one(db).await?;
    Ok(row.filter(|row| row.created_at >= horizon(now)))
}

/// Takes a key for this transaction; false if somebody else has it.
pub async fn reserve(
    db: &impl ConnectionTrait,
    key: &Key,
    route: &str,
    body_hash: Hash,
    now: Micros,
) -> Result<bool, DbErr> {
    remove_expired(db, now).await?;
    let row = Model {
        organization_id: key.organization.0,
        user_id: key.user.0,
        key: key.key.clone(),
        route: route.to_owned(),
        body_hash: body_hash.to_string(),
        status: 0,
        body: String::new(),
        created_at: now.0,
    };
    let keyed = [Column::OrganizationId, Column::UserId, Column::Key];
    let mut overwrite = OnConflict::columns(keyed);
    overwrite
        .update_columns([
            Column::Route,
            Column::BodyHash,
            Column::Status,
            Column::Body,
            Column::CreatedAt,
        ])
        .action_and_where(Expr::col((Entity, Column::CreatedAt)).lt(horizon(now)));
    let written = Entity::insert(row.into_active_model())
        .on_conflict(overwrite)
        .exec_without_returning(db)
        .await?;
    Ok(written == 1)
}

/// Keeps the answer under a key taken before.
pub async fn keep(
    db: &impl ConnectionTrait,
    key: &Key,
    status: u16,
    body: &str,
) -> Result<(), DbErr> {
    let answer = ActiveModel {
        status: sea_orm::Set(i32::from(status)),
        body: sea_orm::Set(body.to_owned()),
        ..Default::default()
    };
    Entity::update_many()
        .set(answer)
        .filter(Column::OrganizationId.eq(key.organization.0))
        .filter(Column::UserId.eq(key.user.0))
        .filter(Column::Key.eq(&key.key))
        .exec(db)
        .await?;
    Ok(())
}

async fn remove_expired(db: &impl ConnectionTrait, now: Micros) -> Result<(), DbErr> {
    let columns = [Column::OrganizationId, Column::UserId, Column::Key];
    let expired = Query::select()
        .columns(columns)
        .from(Entity)
        .and_where(Column::CreatedAt.lt(horizon(now)))
        .limit(REMOVED_AT_ONCE)
        // Two that remove the same rows in another order would wait for each other.
        .lock_with_behavior(LockType::Update, LockBehavior::SkipLocked)
        .to_owned();
    let key = Expr::tuple(columns.map(Expr::col));
    Entity::delete_many()
        .filter(key.in_subquery(expired))
        .exec(db)
        .await?;
    Ok(())
}

fn horizon(now: Micros) -> i64 {
    now.0
        .saturating_sub(i64::try_from(KEPT.as_micros()).unwrap_or(i64::MAX))
}
