//! Who calls: tenants and the people and programs in them.

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
                "CREATE TABLE organizations (
                   id uuid NOT NULL PRIMARY KEY,
                   external_id text NOT NULL UNIQUE,
                   name text NOT NULL,
                   created_at bigint NOT NULL
                 )",
                "CREATE TABLE users (
                   id uuid NOT NULL PRIMARY KEY,
                   issuer text NOT NULL,
                   subject text NOT NULL,
                   email text NOT NULL,
                   full_name text,
                   auth0_id text,
                   organization_id uuid NOT NULL REFERENCES organizations (id),
                   permissions text NOT NULL,
                   created_at bigint NOT NULL,
                   modified_at bigint NOT NULL,
                   UNIQUE (issuer, subject)
                 )",
                "CREATE INDEX users_organization ON users (organization_id)",
            ],
        )
        .await
    }

    async fn down(&self, manager: &SchemaManager) -> Result<(), DbErr> {
        statements::drop(manager, &["users", "organizations"]).await
    }
}
