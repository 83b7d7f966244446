//! What waits for people: the plan of a run, or a gate inside one. A vote may be cast in somebody's place. The
//! history of both is in the decision log; a row here goes when it says nothing any more.

use sea_orm_migration::prelude::*;

use crate::statements;

#[derive(DeriveMigrationName)]
pub(crate) struct Migration;

/// The audience of everybody who may approve: what every run waited for before there were others.
const ANYONE: &str = r#"{"users":[],"groups":[],"permissions":[]}"#;
const ANYONE_HASH: &str = "ebdbed826f6793317092b83b47a48c5fb4356e5e76ad8fc31d914f75c6f7f3c0";

#[async_trait::async_trait]
impl MigrationTrait for Migration {
    async fn up(&self, manager: &SchemaManager) -> Result<(), DbErr> {
        let audiences = format!(
            "INSERT INTO audiences (organization_id, hash, body) \
             SELECT DISTINCT organization_id, '{ANYONE_HASH}', '{ANYONE}' FROM live_runs WHERE phase = 'waiting'"
        );
        let waiting = format!(
            "INSERT INTO asks (run_id, idx, item, organization_id, flow_id, name, state, stage, needed, audience, \
               asked_at, escalated, requester) \
             SELECT l.run_id, -1, -1, l.organization_id, l.flow_id, '', 'open', 0, 1, '{ANYONE_HASH}', \
               f.triggered_time, false, lower(f.triggered_by) \
             FROM live_runs l JOIN flow_runs f ON f.id = l.run_id WHERE l.phase = 'waiting'"
        );
        statements::run(
            manager,
            &[
                "ALTER TABLE approvals ADD COLUMN stands_in_for text",
                "CREATE TABLE audiences (
                   organization_id uuid NOT NULL,
                   hash text NOT NULL,
                   body text NOT NULL,
                   PRIMARY KEY (organization_id, hash)
                 )",
                "CREATE TABLE asks (
                   run_id uuid NOT NULL,
                   idx bigint NOT NULL,
                   item bigint NOT NULL,
                   organization_id uuid NOT NULL,
                   flow_id uuid NOT NULL,
                   name text NOT NULL,
                   state text NOT NULL,
                   stage integer NOT NULL,
                   needed integer NOT NULL,
                   audience text NOT NULL,
                   asked_at bigint NOT NULL,
                   due_at bigint,
                   wake_at bigint,
                   escalated boolean NOT NULL,
                   tell text,
                   answer text,
                   reason text,
                   requester text NOT NULL,
                   author text,
                   PRIMARY KEY (run_id, idx, item)
                 )",
                "CREATE INDEX asks_inbox ON asks (organization_id, audience, asked_at, run_id)
                   WHERE state = 'open'",
                "CREATE INDEX asks_due ON asks (wake_at) WHERE wake_at IS NOT NULL",
                "CREATE INDEX asks_tell ON asks (organization_id, asked_at) WHERE tell IS NOT NULL",
                &audiences,
                &waiting,
            ],
        )
        .await
    }

    async fn down(&self, manager: &SchemaManager) -> Result<(), DbErr> {
        statements::drop(manager, &["asks", "audiences"]).await?;
        statements::run(
            manager,
            &["ALTER TABLE approvals DROP COLUMN stands_in_for"],
        )
        .await
    }
}
