//! Where an organization's chain of decisions stands.

use sea_orm::entity::prelude::*;

/// A row of `decision_chains`.
#[derive(Clone, Debug, PartialEq, Eq, DeriveEntityModel)]
#[sea_orm(table_name = "decision_chains")]
pub struct Model {
    #[sea_orm(primary_key, auto_increment = false)]
    pub organization_id: Uuid,
    /// Number of the newest sealed entry; 0: none is.
    pub seq: i64,
    /// Its hash.
    pub hash: String,
    pub sealed_at: i64,
}

#[derive(Copy, Clone, Debug, EnumIter, DeriveRelation)]
pub enum Relation {}

impl ActiveModelBehavior for ActiveModel {}
