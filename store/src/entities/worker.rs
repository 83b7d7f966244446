//! One incarnation of a worker: a process start.

use sea_orm::entity::prelude::*;

/// A row of `workers`.
#[derive(Clone, Debug, PartialEq, Eq, DeriveEntityModel)]
#[sea_orm(table_name = "workers")]
pub struct Model {
    #[sea_orm(primary_key, auto_increment = false)]
    pub id: Uuid,
    pub name: String,
    /// `alive`, `dead` (its lease lapsed) or `gone` (it left).
    pub state: String,
    /// When it is declared dead unless it renews.
    pub lease_until: i64,
    /// Task slots.
    pub slots: i32,
    /// JSON object: integration → code digest it hosts.
    pub hosts: String,
    /// The newest plan format it reads.
    pub plan_v: i32,
}

#[derive(Copy, Clone, Debug, EnumIter, DeriveRelation)]
pub enum Relation {}

impl ActiveModelBehavior for ActiveModel {}
