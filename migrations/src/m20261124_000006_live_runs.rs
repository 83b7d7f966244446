//! The narrow row of every run that is not final: what every change of a run locks first.

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
                "CREATE TABLE live_runs (
                   run_id uuid NOT NULL PRIMARY KEY,
                   organization_id uuid NOT NULL,
                   flow_id uuid NOT NULL,
                   phase text NOT NULL,
                   intent text,
                   owner uuid,
                   claim uuid,
                   epoch bigint NOT NULL,
                   claims bigint NOT NULL,
                   inbox_seq bigint NOT NULL,
                   wake_at bigint,
                   ready_at bigint,
                   deadline_at bigint,
                   priority integer NOT NULL,
                   plan_hash text NOT NULL,
                   approved_hash text,
                   plan_v integer NOT NULL
                 )",
                "CREATE INDEX live_runs_ready ON live_runs (priority DESC, ready_at)
                   WHERE owner IS NULL AND phase IN ('ready', 'closing')",
                "CREATE INDEX live_runs_owner ON live_runs (owner) WHERE owner IS NOT NULL",
                "CREATE INDEX live_runs_due ON live_runs (wake_at) WHERE wake_at IS NOT NULL",
                "CREATE INDEX live_runs_inbox ON live_runs (organization_id, run_id) WHERE phase = 'waiting'",
            ],
        )
        .await?;
        statements::run_on_postgres(
            manager,
            &["ALTER TABLE live_runs SET (
                   fillfactor = 70,
                   autovacuum_vacuum_scale_factor = 0.02,
                   autovacuum_vacuum_threshold = 500
                 )"],
        )
        .await
    }

    async fn down(&self, manager: &SchemaManager) -> Result<(), DbErr> {
        statements::drop(manager, &["live_runs"]).await
    }
}
