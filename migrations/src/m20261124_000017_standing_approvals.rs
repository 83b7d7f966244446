//! Approvals given beforehand: of one plan, or of a version of a flow within bounds, so many times or until a day.

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
                "CREATE TABLE standing_approvals (
                   id uuid NOT NULL PRIMARY KEY,
                   organization_id uuid NOT NULL,
                   flow_id uuid NOT NULL,
                   flow_version integer NOT NULL,
                   graph text NOT NULL,
                   plan_hash text,
                   bounds text,
                   policy text NOT NULL,
                   hash text NOT NULL,
                   requester uuid NOT NULL,
                   requester_email text NOT NULL,
                   author uuid,
                   author_email text NOT NULL,
                   max_runs bigint,
                   used bigint NOT NULL,
                   ends_at bigint,
                   comment text,
                   state text NOT NULL,
                   created_at bigint NOT NULL,
                   active_at bigint,
                   revoked_at bigint,
                   revoked_by_email text
                 )",
                "CREATE INDEX standing_approvals_list ON standing_approvals (organization_id, id DESC)",
                "CREATE INDEX standing_approvals_active ON standing_approvals (flow_id, id) WHERE state = 'active'",
                "CREATE TABLE standing_uses (
                   run_id uuid NOT NULL PRIMARY KEY,
                   standing_approval_id uuid NOT NULL
                 )",
            ],
        )
        .await
    }

    async fn down(&self, manager: &SchemaManager) -> Result<(), DbErr> {
        statements::drop(manager, &["standing_uses", "standing_approvals"]).await
    }
}
