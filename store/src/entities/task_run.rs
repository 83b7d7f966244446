//! What is recorded of one operation of a run (and one item of it).

use sea_orm::entity::prelude::*;

/// A row of `task_runs`.
#[derive(Clone, Debug, PartialEq, Eq, DeriveEntityModel)]
#[sea_orm(table_name = "task_runs")]
pub struct Model {
    #[sea_orm(primary_key, auto_increment = false)]
    pub run_id: Uuid,
    /// The operation's `index` in the flow.
    #[sea_orm(primary_key, auto_increment = false)]
    pub idx: i64,
    /// Its place in a `for_each` list; -1 without one.
    #[sea_orm(primary_key, auto_increment = false)]
    pub item: i64,
    pub id: Uuid,
    /// [`neena_engine::run::TaskStatus`] in words.
    pub status: String,
    /// Of the claim that wrote the row.
    pub epoch: i64,
    /// The attempt the row tells of, counted over all rounds; 0 for a skipped task.
    pub attempt: i64,
    /// Attempts made in earlier rounds.
    pub attempts_before: i64,
    pub start_time: Option<i64>,
    pub end_time: Option<i64>,
    /// When the next attempt is due, between two attempts.
    pub due_at: Option<i64>,
    /// JSON.
    pub result: Option<String>,
    /// Length of `result` in bytes.
    pub result_size: Option<i64>,
    /// JSON object: `type`, `message`.
    pub error: Option<String>,
    /// JSON object: `messages`; none unless a language model prepared the task.
    pub prep_prompt: Option<String>,
    /// JSON object: `parameters`.
    pub prep_answer: Option<String>,
}

#[derive(Copy, Clone, Debug, EnumIter, DeriveRelation)]
pub enum Relation {}

impl ActiveModelBehavior for ActiveModel {}
