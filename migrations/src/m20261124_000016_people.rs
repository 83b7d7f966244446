//! Groups that policies name, and who stands in for whom, until when.

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
                "CREATE TABLE group_members (
                   organization_id uuid NOT NULL,
                   name text NOT NULL,
                   email text NOT NULL,
                   PRIMARY KEY (organization_id, name, email)
                 )",
                "CREATE INDEX group_members_of ON group_members (organization_id, email)",
                "CREATE TABLE delegations (
                   id uuid NOT NULL PRIMARY KEY,
                   organization_id uuid NOT NULL,
                   from_email text NOT NULL,
                   from_user uuid,
                   to_email text NOT NULL,
                   starts_at bigint NOT NULL,
                   ends_at bigint NOT NULL,
                   reason text,
                   created_at bigint NOT NULL,
                   created_by_email text NOT NULL
                 )",
                "CREATE INDEX delegations_to ON delegations (organization_id, to_email, ends_at)",
            ],
        )
        .await
    }

    async fn down(&self, manager: &SchemaManager) -> Result<(), DbErr> {
        statements::drop(manager, &["delegations", "group_members"]).await
    }
}
