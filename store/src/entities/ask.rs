//! What waits for people: the plan of a run, or a gate inside one.

use sea_orm::entity::prelude::*;

/// A row of `asks`.
#[derive(Clone, Debug, PartialEq, Eq, DeriveEntityModel)]
#[sea_orm(table_name = "asks")]
pub struct Model {
    #[sea_orm(primary_key, auto_increment = false)]
    pub run_id: Uuid,
    /// The operation of the gate; -1: the whole run.
    #[sea_orm(primary_key, auto_increment = false)]
    pub idx: i64,
    /// The item of that operation; -1: none.
    #[sea_orm(primary_key, auto_increment = false)]
    pub item: i64,
    pub organization_id: Uuid,
    pub flow_id: Uuid,
    /// The key of the gate; empty for a plan.
    pub name: String,
    /// `open`, `approved`, `rejected` or `expired`.
    pub state: String,
    /// The stage that is asked, from 0.
    pub stage: i32,
    /// How many approvals that stage takes.
    pub needed: i32,
    /// Hash of who may answer; see `audiences`.
    pub audience: String,
    pub asked_at: i64,
    pub due_at: Option<i64>,
    pub wake_at: Option<i64>,
    pub escalated: bool,
    /// What those who may answer are still to be told.
    pub tell: Option<String>,
    /// JSON.
    pub answer: Option<String>,
    pub reason: Option<String>,
    /// E-mail of the requester, if they may not answer; else empty.
    pub requester: String,
    /// E-mail of the flow's author, if they may not answer.
    pub author: Option<String>,
}

#[derive(Copy, Clone, Debug, EnumIter, DeriveRelation)]
pub enum Relation {}

impl ActiveModelBehavior for ActiveModel {}
