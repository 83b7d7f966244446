//! A message committed with what caused it, until the broker has confirmed it.

use sea_orm::entity::prelude::*;

/// A row of `outbox`.
#[derive(Clone, Debug, PartialEq, Eq, DeriveEntityModel)]
#[sea_orm(table_name = "outbox")]
pub struct Model {
    #[sea_orm(primary_key, auto_increment = false)]
    pub id: Uuid,
    /// CloudEvents type and routing key: `flow_run.approved`, …
    pub kind: String,
    /// Whether a queue must take it (wake-ups).
    pub required: bool,
    pub organization_id: Uuid,
    pub run_id: Uuid,
    /// Orders the events of a run.
    pub epoch: i64,
    pub at: i64,
    /// When whoever finds it may publish it.
    pub try_after: i64,
    /// How often it was taken from the table.
    pub tries: i32,
}

#[derive(Copy, Clone, Debug, EnumIter, DeriveRelation)]
pub enum Relation {}

impl ActiveModelBehavior for ActiveModel {}
