//! Something a hook is told, until it took it or was given up.

use sea_orm::entity::prelude::*;

/// A row of `deliveries`.
#[derive(Clone, Debug, PartialEq, Eq, DeriveEntityModel)]
#[sea_orm(table_name = "deliveries")]
pub struct Model {
    /// Also the id of the message: a receiver that sees one twice knows it by this.
    #[sea_orm(primary_key, auto_increment = false)]
    pub id: Uuid,
    pub organization_id: Uuid,
    pub hook_id: Uuid,
    /// `requested`, `reminder`, `escalated` or `decided`.
    pub event: String,
    /// The e-mail it goes to; none: the hook's URL.
    pub recipient: Option<String>,
    /// JSON: what is told.
    pub body: String,
    /// The link that decides, in e-mail to somebody who may.
    pub link_id: Option<Uuid>,
    /// `pending`, `done` or `failed`.
    pub state: String,
    pub attempts: i64,
    /// When it is tried (again), or, while it is tried, when others may; none: never.
    pub next_at: Option<i64>,
    /// Why the last attempt failed.
    pub error: Option<String>,
    pub created_at: i64,
    pub ended_at: Option<i64>,
}

#[derive(Copy, Clone, Debug, EnumIter, DeriveRelation)]
pub enum Relation {}

impl ActiveModelBehavior for ActiveModel {}
