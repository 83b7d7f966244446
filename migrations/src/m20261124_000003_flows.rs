//! Flows, the versions runs were made from, and the requests to run them.

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
                "CREATE TABLE flows (
                   id uuid NOT NULL PRIMARY KEY,
                   organization_id uuid NOT NULL REFERENCES organizations (id),
                   name text NOT NULL,
                   version integer NOT NULL,
                   created_at bigint NOT NULL,
                   modified_at bigint NOT NULL,
                   created_by_email text NOT NULL,
                   modified_by_email text NOT NULL,
                   deleted_at bigint
                 )",
                "CREATE INDEX flows_list ON flows (organization_id, id DESC)",
                "CREATE TABLE flow_versions (
                   flow_id uuid NOT NULL REFERENCES flows (id),
                   version integer NOT NULL,
                   body text NOT NULL,
                   created_at bigint NOT NULL,
                   created_by_email text NOT NULL,
                   PRIMARY KEY (flow_id, version)
                 )",
                "CREATE TABLE flow_requests (
                   id uuid NOT NULL PRIMARY KEY,
                   organization_id uuid NOT NULL REFERENCES organizations (id),
                   request_instructions text NOT NULL,
                   request_metadata text NOT NULL,
                   request_name text,
                   flow_id uuid REFERENCES flows (id),
                   created_at bigint NOT NULL,
                   modified_at bigint NOT NULL,
                   created_by_email text NOT NULL,
                   modified_by_email text NOT NULL,
                   deleted_at bigint
                 )",
                "CREATE INDEX flow_requests_list ON flow_requests (organization_id, id DESC)",
            ],
        )
        .await
    }

    async fn down(&self, manager: &SchemaManager) -> Result<(), DbErr> {
        statements::drop(manager, &["flow_requests", "flow_versions", "flows"]).await
    }
}
