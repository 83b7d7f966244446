//! The database's schema: one file per change, applied in order on SQLite and on Postgres.
//! README.md says how to write one that is safe to deploy.

use sea_orm_migration::prelude::*;

mod m20261124_000001_accounts;
mod m20261124_000002_catalogue;
mod m20261124_000003_flows;
mod m20261124_000004_idempotency_keys;
mod m20261124_000005_workers;
mod m20261124_000006_live_runs;
mod m20261124_000007_flow_runs;
mod m20261124_000008_plans;
mod m20261124_000009_task_runs;
mod m20261124_000010_outbox;
mod m20261124_000011_decisions;
mod m20261124_000012_hot_tables;
mod m20261124_000013_asks;
mod m20261124_000014_decision_log;
mod m20261124_000015_policies;
mod m20261124_000016_people;
mod m20261124_000017_standing_approvals;
mod m20261124_000018_reaching;
mod statements;

/// Every migration, oldest first.
#[derive(Debug)]
pub struct Migrator;

#[async_trait::async_trait]
impl MigratorTrait for Migrator {
    fn migrations() -> Vec<Box<dyn MigrationTrait>> {
        vec![
            Box::new(m20261124_000001_accounts::Migration),
            Box::new(m20261124_000002_catalogue::Migration),
            Box::new(m20261124_000003_flows::Migration),
            Box::new(m20261124_000004_idempotency_keys::Migration),
            Box::new(m20261124_000005_workers::Migration),
            Box::new(m20261124_000006_live_runs::Migration),
            Box::new(m20261124_000007_flow_runs::Migration),
            Box::new(m20261124_000008_plans::Migration),
            Box::new(m20261124_000009_task_runs::Migration),
            Box::new(m20261124_000010_outbox::Migration),
            Box::new(m20261124_000011_decisions::Migration),
            Box::new(m20261124_000012_hot_tables::Migration),
            Box::new(m20261124_000013_asks::Migration),
            Box::new(m20261124_000014_decision_log::Migration),
            Box::new(m20261124_000015_policies::Migration),
            Box::new(m20261124_000016_people::Migration),
            Box::new(m20261124_000017_standing_approvals::Migration),
            Box::new(m20261124_000018_reaching::Migration),
        ]
    }
}
