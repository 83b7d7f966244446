//! An approval given beforehand.

use sea_orm::entity::prelude::*;

/// A row of `standing_approvals`.
#[derive(Clone, Debug, PartialEq, Eq, DeriveEntityModel)]
#[sea_orm(table_name = "standing_approvals")]
pub struct Model {
    #[sea_orm(primary_key, auto_increment = false)]
    pub id: Uuid,
    pub organization_id: Uuid,
    pub flow_id: Uuid,
    pub flow_version: i32,
    /// Hash of the graph it is for: the operations, and the code behind them.
    pub graph: String,
    /// The one plan it is for; none: any within the bounds.
    pub plan_hash: Option<String>,
    /// JSON Schema that the merged metadata of a request fits; none where it is for one plan.
    pub bounds: Option<String>,
    /// JSON: the policy its votes were counted by, which a run's must equal.
    pub policy: String,
    /// What is voted on: SHA-256 of all it says.
    pub hash: String,
    /// The user who asked for it.
    pub requester: Uuid,
    pub requester_email: String,
    /// The user who wrote the flow's version.
    pub author: Option<Uuid>,
    pub author_email: String,
    pub max_runs: Option<i64>,
    pub used: i64,
    pub ends_at: Option<i64>,
    pub comment: Option<String>,
    /// `open`, `active` or `revoked`.
    pub state: String,
    pub created_at: i64,
    pub active_at: Option<i64>,
    pub revoked_at: Option<i64>,
    pub revoked_by_email: Option<String>,
}

#[derive(Copy, Clone, Debug, EnumIter, DeriveRelation)]
pub enum Relation {}

impl ActiveModelBehavior for ActiveModel {}
