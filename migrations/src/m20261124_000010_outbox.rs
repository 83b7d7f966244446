//! Messages committed with what caused them, until the broker has confirmed them.

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
                "CREATE TABLE outbox (
                   id uuid NOT NULL PRIMARY KEY,
                   kind text NOT NULL,
                   required boolean NOT NULL,
                   organization_id uuid NOT NULL,
                   run_id uuid NOT NULL,
                   epoch bigint NOT NULL,
                   at bigint NOT NULL,
                   try_after bigint NOT NULL,
                   tries integer NOT NULL
                 )",
                "CREATE INDEX outbox_due ON outbox (try_after)",
            ],
        )
        .await
    }

    async fn down(&self, manager: &SchemaManager) -> Result<(), DbErr> {
        statements::drop(manager, &["outbox"]).await
    }
}
