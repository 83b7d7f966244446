//! Storage of the tables whose rows change often and go soon: room on each page for new versions of a row,
//! and a vacuum that does not wait until a fifth of a large table is dead. Postgres only.

use sea_orm_migration::prelude::*;

use crate::statements;

#[derive(DeriveMigrationName)]
pub(crate) struct Migration;

#[async_trait::async_trait]
impl MigrationTrait for Migration {
    async fn up(&self, manager: &SchemaManager) -> Result<(), DbErr> {
        statements::run_on_postgres(
            manager,
            &[
                "ALTER TABLE live_runs SET (
                   autovacuum_analyze_scale_factor = 0.05,
                   autovacuum_analyze_threshold = 500
                 )",
                "ALTER TABLE outbox SET (
                   autovacuum_vacuum_scale_factor = 0.02,
                   autovacuum_vacuum_threshold = 500
                 )",
                "ALTER TABLE workers SET (fillfactor = 50)",
                "ALTER TABLE flow_runs SET (fillfactor = 85)",
                "ALTER TABLE task_runs SET (fillfactor = 90)",
            ],
        )
        .await
    }

    async fn down(&self, manager: &SchemaManager) -> Result<(), DbErr> {
        statements::run_on_postgres(
            manager,
            &[
                "ALTER TABLE live_runs RESET (autovacuum_analyze_scale_factor, autovacuum_analyze_threshold)",
                "ALTER TABLE outbox RESET (autovacuum_vacuum_scale_factor, autovacuum_vacuum_threshold)",
                "ALTER TABLE workers RESET (fillfactor)",
                "ALTER TABLE flow_runs RESET (fillfactor)",
                "ALTER TABLE task_runs RESET (fillfactor)",
            ],
        )
        .await
    }
}
