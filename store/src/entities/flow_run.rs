//! A run as the API shows it.

use sea_orm::entity::prelude::*;

/// A row of `flow_runs`.
#[derive(Clone, Debug, PartialEq, Eq, DeriveEntityModel)]
#[sea_orm(table_name = "flow_runs")]
pub struct Model {
    #[sea_orm(primary_key, auto_increment = false)]
    pub id: Uuid,
    pub organization_id: Uuid,
    pub flow_id: Uuid,
    pub flow_version: i32,
    pub flow_request_id: Uuid,
    /// [`neena_engine::run::RunStatus`] in words.
    pub status: String,
    /// [`neena_engine::run::ApprovalStatus`] in words; none while nothing was decided.
    pub approval_status: Option<String>,
    pub plan_hash: String,
    pub approved_hash: Option<String>,
    /// The live row's epoch when it ended.
    pub epoch: i64,
    /// Grows by one at each retry; from 0.
    pub round: i32,
    /// E-mail of the requester.
    pub triggered_by: String,
    /// When it was asked for: the client's word, or now.
    pub triggered_time: i64,
    /// When its first record was written.
    pub start_time: Option<i64>,
    pub end_time: Option<i64>,
    /// Why it did not complete, or what it waits for.
    pub reason: Option<String>,
}

#[derive(Copy, Clone, Debug, EnumIter, DeriveRelation)]
pub enum Relation {}

impl ActiveModelBehavior for ActiveModel {}
