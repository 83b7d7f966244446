//! An attempt that was followed by another one, or the outcome of an earlier round.

use sea_orm::entity::prelude::*;

/// A row of `task_attempts`.
#[derive(Clone, Debug, PartialEq, Eq, DeriveEntityModel)]
#[sea_orm(table_name = "task_attempts")]
pub struct Model {
    #[sea_orm(primary_key, auto_increment = false)]
    pub run_id: Uuid,
    /// The operation's `index` in the flow.
    #[sea_orm(primary_key, auto_increment = false)]
    pub idx: i64,
    /// Its place in a `for_each` list; -1 without one.
    #[sea_orm(primary_key, auto_increment = false)]
    pub item: i64,
    /// The round it was made in.
    #[sea_orm(primary_key, auto_increment = false)]
    pub round: i32,
    #[sea_orm(primary_key, auto_increment = false)]
    pub attempt: i64,
    pub start_time: Option<i64>,
    pub end_time: Option<i64>,
    /// JSON object: `type`, `message`; none if it was stopped.
    pub error: Option<String>,
}

#[derive(Copy, Clone, Debug, EnumIter, DeriveRelation)]
pub enum Relation {}

impl ActiveModelBehavior for ActiveModel {}
