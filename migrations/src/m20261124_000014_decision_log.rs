//! The decision log: rows are added and never changed; a sealer numbers the committed ones and chains each to the
//! one before by hash, which is all that is ever written to a row again.

use sea_orm_migration::prelude::*;

use crate::statements;

#[derive(DeriveMigrationName)]
pub(crate) struct Migration;

/// What an entry says: fixed when it is written.
const SAID: &str = "id, organization_id, run_id, idx, item, gate, what, actor, actor_email, stands_in_for, way, \
     plan_hash, stage, comment, result, at";

#[async_trait::async_trait]
impl MigrationTrait for Migration {
    async fn up(&self, manager: &SchemaManager) -> Result<(), DbErr> {
        statements::run(
            manager,
            &[
                "CREATE TABLE decisions (
                   id uuid NOT NULL PRIMARY KEY,
                   organization_id uuid NOT NULL,
                   run_id uuid,
                   idx bigint,
                   item bigint,
                   gate text,
                   what text NOT NULL,
                   actor uuid,
                   actor_email text,
                   stands_in_for text,
                   way text NOT NULL,
                   plan_hash text,
                   stage text,
                   comment text,
                   result text NOT NULL,
                   at bigint NOT NULL,
                   seq bigint,
                   prev text,
                   hash text,
                   UNIQUE (organization_id, seq)
                 )",
                "CREATE INDEX decisions_of_run ON decisions (run_id, at) WHERE run_id IS NOT NULL",
                "CREATE INDEX decisions_list ON decisions (organization_id, id DESC)",
                "CREATE INDEX decisions_unsealed ON decisions (organization_id, at, id) WHERE seq IS NULL",
                "CREATE TABLE decision_chains (
                   organization_id uuid NOT NULL PRIMARY KEY,
                   seq bigint NOT NULL,
                   hash text NOT NULL,
                   sealed_at bigint NOT NULL
                 )",
            ],
        )
        .await?;
        let of_said = format!("BEFORE UPDATE OF {SAID} ON decisions");
        let of_seal = "BEFORE UPDATE OF seq, prev, hash ON decisions";
        let refuse = "BEGIN SELECT RAISE(ABORT, 'the decision log is append-only'); END";
        statements::run_on_sqlite(
            manager,
            &[
                &format!("CREATE TRIGGER decisions_said {of_said} {refuse}"),
                &format!(
                    "CREATE TRIGGER decisions_sealed {of_seal} WHEN OLD.seq IS NOT NULL {refuse}"
                ),
                &format!("CREATE TRIGGER decisions_kept BEFORE DELETE ON decisions {refuse}"),
                &format!(
                    "CREATE TRIGGER decisions_unnumbered BEFORE INSERT ON decisions WHEN NEW.seq IS NOT NULL {refuse}"
                ),
                // What REPLACE puts aside is deleted without a word to triggers.
                "CREATE TRIGGER decisions_once BEFORE INSERT ON decisions
                   WHEN EXISTS (SELECT 1 FROM decisions WHERE id = NEW.id)
                   BEGIN SELECT RAISE(IGNORE); END",
            ],
        )
        .await?;
        let refuse = "EXECUTE FUNCTION decisions_refuse()";
        statements::run_on_postgres(
            manager,
            &[
                "CREATE FUNCTION decisions_refuse() RETURNS trigger LANGUAGE plpgsql AS
                   $$ BEGIN RAISE EXCEPTION 'the decision log is append-only'; END $$",
                &format!("CREATE TRIGGER decisions_said {of_said} FOR EACH ROW {refuse}"),
                &format!(
                    "CREATE TRIGGER decisions_sealed {of_seal} FOR EACH ROW WHEN (OLD.seq IS NOT NULL) {refuse}"
                ),
                &format!("CREATE TRIGGER decisions_kept BEFORE DELETE ON decisions FOR EACH ROW {refuse}"),
                &format!("CREATE TRIGGER decisions_emptied BEFORE TRUNCATE ON decisions {refuse}"),
                &format!(
                    "CREATE TRIGGER decisions_unnumbered BEFORE INSERT ON decisions FOR EACH ROW WHEN (NEW.seq IS NOT NULL) {refuse}"
                ),
            ],
        )
        .await
    }

    async fn down(&self, manager: &SchemaManager) -> Result<(), DbErr> {
        statements::drop(manager, &["decision_chains", "decisions"]).await?;
        statements::run_on_postgres(manager, &["DROP FUNCTION decisions_refuse()"]).await
    }
}
