//! The last decision about a run, by the id its writer made: a decision whose commit was never answered is
//! known by it when it is tried again.

use sea_orm_migration::prelude::*;

use crate::statements;

#[derive(DeriveMigrationName)]
pub(crate) struct Migration;

#[async_trait::async_trait]
impl MigrationTrait for Migration {
    async fn up(&self, manager: &SchemaManager) -> Result<(), DbErr> {
        statements::run(manager, &["ALTER TABLE flow_runs ADD COLUMN decision uuid"]).await
    }

    async fn down(&self, manager: &SchemaManager) -> Result<(), DbErr> {
        statements::run(manager, &["ALTER TABLE flow_runs DROP COLUMN decision"]).await
    }
}
