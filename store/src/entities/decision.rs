//! An entry of the decision log.

use sea_orm::entity::prelude::*;

/// A row of `decisions`: never changed, but once, when it is sealed.
#[derive(Clone, Debug, PartialEq, Eq, DeriveEntityModel)]
#[sea_orm(table_name = "decisions")]
pub struct Model {
    #[sea_orm(primary_key, auto_increment = false)]
    pub id: Uuid,
    pub organization_id: Uuid,
    pub run_id: Option<Uuid>,
    /// The operation of the gate; none: the whole run, or no run.
    pub idx: Option<i64>,
    /// The item of that operation; -1: none.
    pub item: Option<i64>,
    /// The key of the gate.
    pub gate: Option<String>,
    /// `approve`, `reject`, `start`, `expire`, `policy`, …
    pub what: String,
    /// The user; none where time decided.
    pub actor: Option<Uuid>,
    pub actor_email: Option<String>,
    pub stands_in_for: Option<String>,
    /// `rest`, `cli`, `link`, `time`, …
    pub way: String,
    pub plan_hash: Option<String>,
    pub stage: Option<String>,
    pub comment: Option<String>,
    /// What came of it, in words.
    pub result: String,
    pub at: i64,
    /// Its number in the organization's chain, from 1; none until it is sealed.
    pub seq: Option<i64>,
    /// Hash of the entry before.
    pub prev: Option<String>,
    pub hash: Option<String>,
}

#[derive(Copy, Clone, Debug, EnumIter, DeriveRelation)]
pub enum Relation {}

impl ActiveModelBehavior for ActiveModel {}
