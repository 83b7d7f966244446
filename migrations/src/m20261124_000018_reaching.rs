//! How people are reached: hooks of an organization, what is to be delivered to them, and links that decide one
//! step.

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
                "CREATE TABLE notification_hooks (
                   id uuid NOT NULL PRIMARY KEY,
                   organization_id uuid NOT NULL,
                   kind text NOT NULL,
                   url text,
                   recipients text,
                   events text NOT NULL,
                   created_at bigint NOT NULL,
                   created_by_email text NOT NULL
                 )",
                "CREATE INDEX notification_hooks_list ON notification_hooks (organization_id, id)",
                "CREATE TABLE courier_cursors (
                   organization_id uuid NOT NULL PRIMARY KEY,
                   seq bigint NOT NULL
                 )",
                "CREATE TABLE deliveries (
                   id uuid NOT NULL PRIMARY KEY,
                   organization_id uuid NOT NULL,
                   hook_id uuid NOT NULL,
                   event text NOT NULL,
                   recipient text,
                   body text NOT NULL,
                   link_id uuid,
                   state text NOT NULL,
                   attempts bigint NOT NULL,
                   next_at bigint,
                   error text,
                   created_at bigint NOT NULL,
                   ended_at bigint
                 )",
                "CREATE INDEX deliveries_due ON deliveries (next_at) WHERE next_at IS NOT NULL",
                "CREATE INDEX deliveries_of_hook ON deliveries (hook_id, state, id DESC)",
                "CREATE INDEX deliveries_old ON deliveries (ended_at) WHERE ended_at IS NOT NULL",
                "CREATE TABLE approval_links (
                   id uuid NOT NULL PRIMARY KEY,
                   organization_id uuid NOT NULL,
                   run_id uuid NOT NULL,
                   idx bigint NOT NULL,
                   item bigint NOT NULL,
                   stage integer NOT NULL,
                   plan_hash text NOT NULL,
                   recipient text NOT NULL,
                   expires_at bigint NOT NULL,
                   used_at bigint,
                   used_as text,
                   done_at bigint
                 )",
                "CREATE INDEX approval_links_old ON approval_links (expires_at)",
            ],
        )
        .await
    }

    async fn down(&self, manager: &SchemaManager) -> Result<(), DbErr> {
        statements::drop(
            manager,
            &[
                "approval_links",
                "deliveries",
                "courier_cursors",
                "notification_hooks",
            ],
        )
        .await
    }
}
