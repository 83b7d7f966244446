//! A named group of task definitions, known to the whole server.

use sea_orm::entity::prelude::*;

/// A row of `integrations`.
#[derive(Clone, Debug, PartialEq, Eq, DeriveEntityModel)]
#[sea_orm(table_name = "integrations")]
pub struct Model {
    #[sea_orm(primary_key, auto_increment = false)]
    pub id: Uuid,
    pub class_name: String,
    pub name: String,
    #[sea_orm(unique)]
    pub short_name: String,
    pub auth_type: String,
    /// Digest of its code; none for what was not synced.
    pub code_digest: Option<String>,
    /// Where this machine loads it from, when it was synced here.
    pub path: Option<String>,
    pub created_at: i64,
    pub modified_at: i64,
}

#[derive(Copy, Clone, Debug, EnumIter, DeriveRelation)]
pub enum Relation {}

impl ActiveModelBehavior for ActiveModel {}
