//! What was recorded of tasks: one row per operation and item, and the attempts that made way.

use sea_orm_migration::prelude::*;

use crate::statements;

#[derive(DeriveMigrationName)]
pub(crate) struct Migration;

#[async_trait::async_trait]
impl MigrationTrait for Migration {
    async fn up(&self, manager: &SchemaManager) -> Result<(), DbErr> {
        statements::run(
            manager,
            &[
                "CREATE TABLE task_runs (
                   run_id uuid NOT NULL,
                   idx bigint NOT NULL,
                   item bigint NOT NULL,
                   id uuid NOT NULL,
                   status text NOT NULL,
                   epoch bigint NOT NULL,
                   attempt bigint NOT NULL,
                   attempts_before bigint NOT NULL,
                   start_time bigint,
                   end_time bigint,
                   due_at bigint,
                   result text,
                   result_size bigint,
                   error text,
                   prep_prompt text,
                   prep_answer text,
                   PRIMARY KEY (run_id, idx, item)
                 )",
                "CREATE TABLE task_attempts (
                   run_id uuid NOT NULL,
                   idx bigint NOT NULL,
                   item bigint NOT NULL,
                   round integer NOT NULL,
                   attempt bigint NOT NULL,
                   start_time bigint,
                   end_time bigint,
                   error text,
                   PRIMARY KEY (run_id, idx, item, round, attempt)
                 )",
            ],
        )
        .await
    }

    async fn down(&self, manager: &SchemaManager) -> Result<(), DbErr> {
        statements::drop(manager, &["task_attempts", "task_runs"]).await
    }
}
