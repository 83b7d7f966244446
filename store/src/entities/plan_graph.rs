//! The graph of a plan, shared by all runs of a flow version; found by its hash.

use sea_orm::entity::prelude::*;

/// A row of `plan_graphs`.
#[derive(Clone, Debug, PartialEq, Eq, DeriveEntityModel)]
#[sea_orm(table_name = "plan_graphs")]
pub struct Model {
    #[sea_orm(primary_key, auto_increment = false)]
    pub hash: String,
    pub v: i32,
    /// Canonical JSON, byte for byte what was hashed.
    pub body: String,
    /// Days since the Unix epoch: the last day a run was made with it.
    pub last_used: i64,
}

#[derive(Copy, Clone, Debug, EnumIter, DeriveRelation)]
pub enum Relation {}

impl ActiveModelBehavior for ActiveModel {}
