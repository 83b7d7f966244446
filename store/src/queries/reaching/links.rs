//! Links: each is taken for one decision, and given back only if that decision is known to have changed nothing.

use std::time::Duration;

use neena_engine::Micros;
use sea_orm::{ConnectionTrait, DbErr, EntityTrait, IntoActiveModel};
use uuid::Uuid;

use super::execute;
use crate::entities::approval_link::{Entity, Model};

/// After so long a decision that never answered may be asked for again, the same one only.
const IN_DOUBT: Duration = Duration::from_secs(30);

/// Adds links.
pub async fn insert(db: &impl ConnectionTrait, rows: Vec<Model>) -> Result<(), DbErr> {
    let mut rows = rows.into_iter().peekable();
    while rows.peek().is_some() {
        let some: Vec<_> = rows
            .by_ref()
            .take(500)
            .map(IntoActiveModel::into_active_model)
            .collect();
        Entity::insert_many(some).exec_without_returning(db).await?;
    }
    Ok(())
}

/// A link by its id.
pub async fn find(db: &impl ConnectionTrait, id: Uuid) -> Result<Option<Model>, DbErr> {
    Entity::find_by_id(id).one(db).await
}

/// Takes a link for a decision (`approve` or `reject`); false if it was used.
pub async fn take(
    db: &impl ConnectionTrait,
    id: Uuid,
    decision: &'static str,
    now: Micros,
) -> Result<bool, DbErr> {
    let sql = "UPDATE approval_links SET used_at = $1, used_as = $2 WHERE id = $3 AND expires_at > $1 \
         AND (used_at IS NULL OR done_at IS NULL AND used_as = $2 AND used_at < $4)";
    let doubt = now.0 - i64::try_from(IN_DOUBT.as_micros()).unwrap_or(i64::MAX);
    let values = [now.0.into(), decision.into(), id.into(), doubt.into()];
    Ok(execute(db, sql, values).await? == 1)
}

/// The decision was made: the link is used up.
pub async fn done(db: &impl ConnectionTrait, id: Uuid, now: Micros) -> Result<(), DbErr> {
    let sql = "UPDATE approval_links SET done_at = $1 WHERE id = $2 AND used_at IS NOT NULL";
    execute(db, sql, [now.0.into(), id.into()]).await?;
    Ok(())
}

/// The decision changed nothing: the link is as it was.
pub async fn give_back(db: &impl ConnectionTrait, id: Uuid) -> Result<(), DbErr> {
    let sql = "UPDATE approval_links SET used_at = NULL, used_as = NULL WHERE id = $1 AND done_at IS NULL";
    execute(db, sql, [id.into()]).await?;
    Ok(())
}
