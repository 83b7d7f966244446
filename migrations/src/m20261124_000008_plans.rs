//! What is approved and what runs: graphs shared by hash, and the head of each run. Text, byte for byte.

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
                "CREATE TABLE plan_graphs (
                   hash text NOT NULL PRIMARY KEY,
                   v integer NOT NULL,
                   body text NOT NULL,
                   last_used bigint NOT NULL
                 )",
                "CREATE TABLE run_plans (
                   run_id uuid NOT NULL,
                   hash text NOT NULL,
                   v integer NOT NULL,
                   body text NOT NULL,
                   PRIMARY KEY (run_id, hash)
                 )",
            ],
        )
        .await
    }

    async fn down(&self, manager: &SchemaManager) -> Result<(), DbErr> {
        statements::drop(manager, &["run_plans", "plan_graphs"]).await
    }
}
