//! A kind of task that flows can use.

use sea_orm::entity::prelude::*;

/// A row of `task_definitions`.
#[derive(Clone, Debug, PartialEq, Eq, DeriveEntityModel)]
#[sea_orm(table_name = "task_definitions")]
pub struct Model {
    #[sea_orm(primary_key, auto_increment = false)]
    pub id: Uuid,
    pub integration_id: Uuid,
    pub task_name: String,
    pub kind: String,
    pub python_method_name: String,
    pub description: String,
    /// JSON list.
    pub parameters: String,
    pub input_type: String,
    pub input_yml: String,
    pub output_type: String,
    pub output_yml: String,
    /// JSON list.
    pub output_parameters: String,
    pub output_is_list: bool,
    pub pure: bool,
    pub repeatable: bool,
    pub takes_any: bool,
    pub code_digest: String,
    pub created_at: i64,
    pub modified_at: i64,
    pub created_by_email: Option<String>,
    pub modified_by_email: Option<String>,
    /// Soft-deleted since.
    pub deleted_at: Option<i64>,
}

#[derive(Copy, Clone, Debug, EnumIter, DeriveRelation)]
pub enum Relation {}

impl ActiveModelBehavior for ActiveModel {}
