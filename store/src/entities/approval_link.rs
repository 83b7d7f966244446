//! A link by which one person decides one step once.

use sea_orm::entity::prelude::*;

/// A row of `approval_links`.
#[derive(Clone, Debug, PartialEq, Eq, DeriveEntityModel)]
#[sea_orm(table_name = "approval_links")]
pub struct Model {
    #[sea_orm(primary_key, auto_increment = false)]
    pub id: Uuid,
    pub organization_id: Uuid,
    pub run_id: Uuid,
    /// The operation whose gate it is for; -1: the plan of the run.
    pub idx: i64,
    pub item: i64,
    pub stage: i32,
    pub plan_hash: String,
    /// E-mail, in lower case.
    pub recipient: String,
    pub expires_at: i64,
    /// Since when it is taken for a decision.
    pub used_at: Option<i64>,
    /// That decision: `approve` or `reject`.
    pub used_as: Option<String>,
    /// When that decision was known to be made.
    pub done_at: Option<i64>,
}

#[derive(Copy, Clone, Debug, EnumIter, DeriveRelation)]
pub enum Relation {}

impl ActiveModelBehavior for ActiveModel {}
