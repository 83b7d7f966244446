//! Where the code of integrations lies, for the machine that hosts it.

use sea_orm::{ColumnTrait, ConnectionTrait, DbErr, EntityTrait, QueryFilter};

use crate::entities::integration;

/// Short name, code digest and path of the integrations that were synced from this machine.
pub async fn synced_paths(
    db: &impl ConnectionTrait,
) -> Result<Vec<(String, String, String)>, DbErr> {
    let rows = integration::Entity::find()
        .filter(integration::Column::Path.is_not_null())
        .all(db)
        .await?;
    Ok(rows
        .into_iter()
        .filter_map(|row| Some((row.short_name, row.code_digest?, row.path?)))
        .collect())
}
