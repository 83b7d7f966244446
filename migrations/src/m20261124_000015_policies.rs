//! Policies: the organization's floor, what an admin allowed a flow to ask less than it, and who wrote a version.

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
                "ALTER TABLE organizations ADD COLUMN approval text",
                "ALTER TABLE flow_versions ADD COLUMN created_by uuid",
                "ALTER TABLE flow_versions ADD COLUMN loosened text",
            ],
        )
        .await
    }

    async fn down(&self, manager: &SchemaManager) -> Result<(), DbErr> {
        statements::run(
            manager,
            &[
                "ALTER TABLE flow_versions DROP COLUMN loosened",
                "ALTER TABLE flow_versions DROP COLUMN created_by",
                "ALTER TABLE organizations DROP COLUMN approval",
            ],
        )
        .await
    }
}
