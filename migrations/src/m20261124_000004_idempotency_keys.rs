//! Answers kept so that a repeated request gets the same one.

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
                "CREATE TABLE idempotency_keys (
                   organization_id uuid NOT NULL,
                   user_id uuid NOT NULL,
                   key text NOT NULL,
                   route text NOT NULL,
                   body_hash text NOT NULL,
                   status integer NOT NULL,
                   body text NOT NULL,
                   created_at bigint NOT NULL,
                   PRIMARY KEY (organization_id, user_id, key)
                 )",
                "CREATE INDEX idempotency_keys_age ON idempotency_keys (created_at)",
            ],
        )
        .await
    }

    async fn down(&self, manager: &SchemaManager) -> Result<(), DbErr> {
        statements::drop(manager, &["idempotency_keys"]).await
    }
}
