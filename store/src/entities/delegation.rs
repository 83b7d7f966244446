//! Who stands in for whom, from when until when.

use sea_orm::entity::prelude::*;

/// A row of `delegations`; e-mails of the two in lower case.
#[derive(Clone, Debug, PartialEq, Eq, DeriveEntityModel)]
#[sea_orm(table_name = "delegations")]
pub struct Model {
    #[sea_orm(primary_key, auto_increment = false)]
    pub id: Uuid,
    pub organization_id: Uuid,
    pub from_email: String,
    /// None where they are known by e-mail only.
    pub from_user: Option<Uuid>,
    pub to_email: String,
    pub starts_at: i64,
    /// Exclusive.
    pub ends_at: i64,
    pub reason: Option<String>,
    pub created_at: i64,
    pub created_by_email: String,
}

#[derive(Copy, Clone, Debug, EnumIter, DeriveRelation)]
pub enum Relation {}

impl ActiveModelBehavior for ActiveModel {}
