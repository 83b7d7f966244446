//! Hooks of an organization, and how their deliveries stand.

use neena_engine::ids::OrganizationId;
use sea_orm::{
    ColumnTrait, ConnectionTrait, DbErr, EntityTrait, FromQueryResult, IntoActiveModel,
    QueryFilter, QueryOrder, QuerySelect, Statement,
};
use uuid::Uuid;

use super::execute;
use crate::entities::notification_hook::{Column, Entity, Model};

/// How the deliveries of a hook stand.
#[derive(Clone, Debug, FromQueryResult)]
pub struct Standing {
    pub hook_id: Uuid,
    pub waiting: i64,
    pub failed: i64,
    pub delivered_at: Option<i64>,
    /// When one was given up last.
    pub failed_at: Option<i64>,
    /// The newest reason why one failed, for good or so far.
    pub error: Option<String>,
}

/// Adds a hook. What happened before is not told.
pub async fn insert(db: &impl ConnectionTrait, row: Model) -> Result<(), DbErr> {
    let organization = row.organization_id;
    Entity::insert(row.into_active_model())
        .exec_without_returning(db)
        .await?;
    // From here on, unless others are told already.
    let sql = "INSERT INTO courier_cursors (organization_id, seq) \
         VALUES ($1, COALESCE((SELECT max(seq) FROM decisions WHERE organization_id = $1), 0)) \
         ON CONFLICT (organization_id) DO NOTHING";
    execute(db, sql, [organization.into()]).await?;
    Ok(())
}

/// The hooks of an organization, oldest first.
pub async fn of(
    db: &impl ConnectionTrait,
    organization: OrganizationId,
) -> Result<Vec<Model>, DbErr> {
    Entity::find()
        .filter(Column::OrganizationId.eq(organization.0))
        .order_by_asc(Column::Id)
        .limit(super::deliveries::MOST_HOOKS)
        .all(db)
        .await
}

/// A hook by its id, whosever it is: for the courier.
pub async fn by_id(db: &impl ConnectionTrait, id: Uuid) -> Result<Option<Model>, DbErr> {
    Entity::find_by_id(id).one(db).await
}

/// Removes a hook with what it was still to be told; whether it was there. Without any hook nobody is told,
/// and a later one is told only of what comes then.
pub async fn delete(
    db: &impl ConnectionTrait,
    organization: OrganizationId,
    id: Uuid,
) -> Result<bool, DbErr> {
    let deleted = Entity::delete_many()
        .filter(Column::Id.eq(id))
        .filter(Column::OrganizationId.eq(organization.0))
        .exec(db)
        .await?;
    if deleted.rows_affected == 0 {
        return Ok(false);
    }
    execute(db, "DELETE FROM deliveries WHERE hook_id = $1", [id.into()]).await?;
    let sql = "DELETE FROM courier_cursors WHERE organization_id = $1 \
         AND NOT EXISTS (SELECT 1 FROM notification_hooks WHERE organization_id = $1)";
    execute(db, sql, [organization.0.into()]).await?;
    Ok(true)
}

/// How the deliveries of the organization's hooks stand.
pub async fn standings(
    db: &impl ConnectionTrait,
    organization: OrganizationId,
) -> Result<Vec<Standing>, DbErr> {
    let sql = "SELECT h.id AS hook_id, \
           (SELECT count(*) FROM deliveries d WHERE d.hook_id = h.id AND d.state = 'pending') AS waiting, \
           (SELECT count(*) FROM deliveries d WHERE d.hook_id = h.id AND d.state = 'failed') AS failed, \
           (SELECT max(ended_at) FROM deliveries d WHERE d.hook_id = h.id AND d.state = 'done') AS delivered_at, \
           (SELECT max(ended_at) FROM deliveries d WHERE d.hook_id = h.id AND d.state = 'failed') AS failed_at, \
           (SELECT d.error FROM deliveries d WHERE d.hook_id = h.id AND d.state IN ('failed', 'pending') \
              AND d.error IS NOT NULL ORDER BY d.id DESC LIMIT 1) AS error \
         FROM notification_hooks h WHERE h.organization_id = $1";
    let backend = db.get_database_backend();
    Standing::find_by_statement(Statement::from_sql_and_values(
        backend,
        sql,
        [organization.0.into()],
    ))
    .all(db)
    .await
}
