//! A request that a flow be run.

use sea_orm::entity::prelude::*;

/// A row of `flow_requests`.
#[derive(Clone, Debug, PartialEq, Eq, DeriveEntityModel)]
#[sea_orm(table_name = "flow_requests")]
pub struct Model {
    #[sea_orm(primary_key, auto_increment = false)]
    pub id: Uuid,
    pub organization_id: Uuid,
    pub request_instructions: String,
    /// JSON list of objects.
    pub request_metadata: String,
    pub request_name: Option<String>,
    pub flow_id: Option<Uuid>,
    pub created_at: i64,
    pub modified_at: i64,
    pub created_by_email: String,
    pub modified_by_email: String,
    /// Soft-deleted since.
    pub deleted_at: Option<i64>,
}

#[derive(Copy, Clone, Debug, EnumIter, DeriveRelation)]
pub enum Relation {}

impl ActiveModelBehavior for ActiveModel {}
