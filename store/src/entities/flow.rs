//! A flow; its body is in the row of its version.

use sea_orm::entity::prelude::*;

/// A row of `flows`.
#[derive(Clone, Debug, PartialEq, Eq, DeriveEntityModel)]
#[sea_orm(table_name = "flows")]
pub struct Model {
    #[sea_orm(primary_key, auto_increment = false)]
    pub id: Uuid,
    pub organization_id: Uuid,
    pub name: String,
    /// The current version.
    pub version: i32,
    pub created_at: i64,
    pub modified_at: i64,
    pub created_by_email: String,
    pub modified_by_email: String,
    /// Soft-deleted since.
    pub deleted_at: Option<i64>,
}

#[derive(Copy, Clone, Debug, EnumIter, DeriveRelation)]
pub enum Relation {}

impl Related<super::organization::Entity> for Entity {
    fn to() -> RelationDef {
        Entity::belongs_to(super::organization::Entity)
            .from(Column::OrganizationId)
            .to(super::organization::Column::Id)
            .into()
    }
}

impl ActiveModelBehavior for ActiveModel {}
