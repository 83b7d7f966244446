//! A way to tell people of an organization what waits for them and what was decided.

use sea_orm::entity::prelude::*;

/// A row of `notification_hooks`.
#[derive(Clone, Debug, PartialEq, Eq, DeriveEntityModel)]
#[sea_orm(table_name = "notification_hooks")]
pub struct Model {
    #[sea_orm(primary_key, auto_increment = false)]
    pub id: Uuid,
    pub organization_id: Uuid,
    /// `webhook` or `email`.
    pub kind: String,
    /// Of a webhook.
    pub url: Option<String>,
    /// Of e-mail: JSON list of addresses and `approvers`.
    pub recipients: Option<String>,
    /// JSON list of the events it is told of.
    pub events: String,
    pub created_at: i64,
    pub created_by_email: String,
}

#[derive(Copy, Clone, Debug, EnumIter, DeriveRelation)]
pub enum Relation {}

impl ActiveModelBehavior for ActiveModel {}
