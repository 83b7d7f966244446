//! The narrow row of a run that is not final; whoever changes a run locks this row first.

use sea_orm::entity::prelude::*;

/// A row of `live_runs`.
#[derive(Clone, Debug, PartialEq, Eq, DeriveEntityModel)]
#[sea_orm(table_name = "live_runs")]
pub struct Model {
    #[sea_orm(primary_key, auto_increment = false)]
    pub run_id: Uuid,
    pub organization_id: Uuid,
    pub flow_id: Uuid,
    /// [`neena_engine::run::Phase`] in words.
    pub phase: String,
    /// `pause`, or none.
    pub intent: Option<String>,
    /// The worker that holds it.
    pub owner: Option<Uuid>,
    /// Fences the owner's writes.
    pub claim: Option<Uuid>,
    /// Grows by one at each claim.
    pub epoch: i64,
    /// Claims since the last sign of health.
    pub claims: i64,
    /// Grows when the owner must look again.
    pub inbox_seq: i64,
    /// When a parked run becomes ready.
    pub wake_at: Option<i64>,
    /// Since when it may be claimed.
    pub ready_at: Option<i64>,
    /// When the whole run times out.
    pub deadline_at: Option<i64>,
    pub priority: i32,
    pub plan_hash: String,
    pub approved_hash: Option<String>,
    pub plan_v: i32,
}

#[derive(Copy, Clone, Debug, EnumIter, DeriveRelation)]
pub enum Relation {}

impl ActiveModelBehavior for ActiveModel {}
