//! A version of a flow: written once, kept for the runs made from it.

use sea_orm::entity::prelude::*;

/// A row of `flow_versions`.
#[derive(Clone, Debug, PartialEq, Eq, DeriveEntityModel)]
#[sea_orm(table_name = "flow_versions")]
pub struct Model {
    #[sea_orm(primary_key, auto_increment = false)]
    pub flow_id: Uuid,
    #[sea_orm(primary_key, auto_increment = false)]
    pub version: i32,
    /// The posted flow with generated ids, as the API shows it: JSON.
    pub body: String,
    pub created_at: i64,
    pub created_by_email: String,
    /// The user who wrote it; none where that was not noted.
    pub created_by: Option<Uuid>,
    /// What an admin allowed it to ask less than the organization's policy: a JSON list of settings.
    pub loosened: Option<String>,
}

#[derive(Copy, Clone, Debug, EnumIter, DeriveRelation)]
pub enum Relation {}

impl ActiveModelBehavior for ActiveModel {}
