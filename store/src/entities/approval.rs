//! A vote on a plan.

use sea_orm::entity::prelude::*;

/// A row of `approvals`.
#[derive(Clone, Debug, PartialEq, Eq, DeriveEntityModel)]
#[sea_orm(table_name = "approvals")]
pub struct Model {
    #[sea_orm(primary_key, auto_increment = false)]
    pub id: Uuid,
    pub run_id: Uuid,
    /// The operation it gates; -1: the whole run.
    pub idx: i64,
    /// The item of that operation; -1: none.
    pub item: i64,
    /// Stage of the policy; 0 where there is only one.
    pub stage: i32,
    /// The user.
    pub approver: Uuid,
    pub approver_email: String,
    /// E-mail of whose place the approver took; none: their own.
    pub stands_in_for: Option<String>,
    pub plan_hash: String,
    /// `approve` or `reject`.
    pub decision: String,
    pub comment: Option<String>,
    /// `rest`, `cli`, `link`, …
    pub way: String,
    pub at: i64,
}

#[derive(Copy, Clone, Debug, EnumIter, DeriveRelation)]
pub enum Relation {}

impl ActiveModelBehavior for ActiveModel {}
