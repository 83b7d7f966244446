//! Runs as the API shows them, the votes on them, and their results. No foreign keys: the fence keeps them whole.

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
                "CREATE TABLE flow_runs (
                   id uuid NOT NULL PRIMARY KEY,
                   organization_id uuid NOT NULL,
                   flow_id uuid NOT NULL,
                   flow_version integer NOT NULL,
                   flow_request_id uuid NOT NULL,
                   status text NOT NULL,
                   approval_status text,
                   plan_hash text NOT NULL,
                   approved_hash text,
                   epoch bigint NOT NULL,
                   round integer NOT NULL,
                   triggered_by text NOT NULL,
                   triggered_time bigint NOT NULL,
                   start_time bigint,
                   end_time bigint,
                   reason text
                 )",
                "CREATE INDEX flow_runs_list ON flow_runs (organization_id, id DESC)",
                "CREATE INDEX flow_runs_by_flow ON flow_runs (organization_id, flow_id, id DESC)",
                "CREATE TABLE approvals (
                   id uuid NOT NULL PRIMARY KEY,
                   run_id uuid NOT NULL,
                   idx bigint NOT NULL,
                   item bigint NOT NULL,
                   stage integer NOT NULL,
                   approver uuid NOT NULL,
                   approver_email text NOT NULL,
                   plan_hash text NOT NULL,
                   decision text NOT NULL,
                   comment text,
                   way text NOT NULL,
                   at bigint NOT NULL,
                   UNIQUE (run_id, idx, item, plan_hash, stage, approver)
                 )",
                "CREATE TABLE flow_results (
                   run_id uuid NOT NULL PRIMARY KEY,
                   id uuid NOT NULL,
                   organization_id uuid NOT NULL,
                   body text NOT NULL,
                   created_at bigint NOT NULL
                 )",
            ],
        )
        .await
    }

    async fn down(&self, manager: &SchemaManager) -> Result<(), DbErr> {
        statements::drop(manager, &["flow_results", "approvals", "flow_runs"]).await
    }
}
