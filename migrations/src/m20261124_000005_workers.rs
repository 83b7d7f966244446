//! Worker processes and their leases: one row per process start.

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
                "CREATE TABLE workers (
                   id uuid NOT NULL PRIMARY KEY,
                   name text NOT NULL,
                   state text NOT NULL,
                   lease_until bigint NOT NULL,
                   slots integer NOT NULL,
                   hosts text NOT NULL,
                   plan_v integer NOT NULL
                 )",
                "CREATE INDEX workers_alive ON workers (lease_until) WHERE state = 'alive'",
            ],
        )
        .await
    }

    async fn down(&self, manager: &SchemaManager) -> Result<(), DbErr> {
        statements::drop(manager, &["workers"]).await
    }
}
