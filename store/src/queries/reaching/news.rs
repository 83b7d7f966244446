//! What hooks are told next: asks whose people are to be told, and decisions since the last ones. Taking them and
//! writing their deliveries is one transaction.

use neena_engine::approval::Audience;
use neena_engine::ids::OrganizationId;
use sea_orm::{ConnectionTrait, DbErr, FromQueryResult, Statement, Value};
use uuid::Uuid;

use super::{all, execute, ids, places, skip_locked};
use crate::entities::decision;

/// An ask whose people are to be told.
#[derive(Clone, Debug, FromQueryResult)]
pub struct ToTell {
    pub run_id: Uuid,
    pub idx: i64,
    pub item: i64,
    pub flow_id: Uuid,
    /// The key of the gate; empty for a plan.
    pub name: String,
    pub stage: i32,
    pub asked_at: i64,
    pub due_at: Option<i64>,
    pub escalated: bool,
    /// `requested`, `reminder` or `escalated`.
    pub tell: String,
    /// Empty, or who may not answer.
    pub requester: String,
    pub author: Option<String>,
    /// JSON of the audience.
    pub audience: Option<String>,
    pub plan_hash: String,
}

impl ToTell {
    /// Who is asked.
    pub fn audience(&self) -> Audience {
        let body = self.audience.as_deref().unwrap_or_default();
        serde_json::from_str(body).unwrap_or_default()
    }

    /// Who may not answer.
    pub fn excluded(&self) -> Vec<&str> {
        let requester = Some(self.requester.as_str()).filter(|email| !email.is_empty());
        requester
            .into_iter()
            .chain(self.author.as_deref())
            .collect()
    }
}

/// Organizations with hooks in which asks are to be told.
pub async fn with_asks(db: &impl ConnectionTrait) -> Result<Vec<OrganizationId>, DbErr> {
    let sql = "SELECT h.organization_id FROM (SELECT DISTINCT organization_id FROM notification_hooks) h \
         WHERE EXISTS (SELECT 1 FROM asks s WHERE s.organization_id = h.organization_id AND s.tell IS NOT NULL)";
    organizations(all(db, sql, []).await?)
}

/// Organizations with hooks in which decisions were sealed since the last ones told.
pub async fn with_decisions(db: &impl ConnectionTrait) -> Result<Vec<OrganizationId>, DbErr> {
    let sql = "SELECT c.organization_id FROM courier_cursors c \
         JOIN decision_chains d ON d.organization_id = c.organization_id WHERE d.seq > c.seq";
    organizations(all(db, sql, []).await?)
}

fn organizations(rows: Vec<sea_orm::QueryResult>) -> Result<Vec<OrganizationId>, DbErr> {
    let id = |row: &sea_orm::QueryResult| Ok(OrganizationId(row.try_get_by_index(0)?));
    rows.iter().map(id).collect()
}

/// Takes up to `limit` asks of the organization that are to be told: none is told twice. The runs are locked
/// first, as whoever changes anything of a run does; those that somebody decides about now are left for later.
pub async fn take_asks(
    db: &impl ConnectionTrait,
    organization: OrganizationId,
    limit: u32,
) -> Result<Vec<ToTell>, DbErr> {
    let sql = "SELECT run_id FROM asks WHERE organization_id = $1 AND tell IS NOT NULL \
         ORDER BY asked_at LIMIT $2";
    let runs = all(db, sql, [organization.0.into(), i64::from(limit).into()]).await?;
    let runs = run_ids(&runs)?;
    if runs.is_empty() {
        return Ok(Vec::new());
    }
    let sql = format!(
        "SELECT run_id FROM live_runs WHERE run_id IN ({}) ORDER BY run_id{}",
        places(1, runs.len()),
        skip_locked(db),
    );
    let held = run_ids(&all(db, sql, ids(&runs).collect::<Vec<_>>()).await?)?;
    if held.is_empty() {
        return Ok(Vec::new());
    }
    let list = places(1, held.len());
    let sql = format!(
        "SELECT s.run_id, s.idx, s.item, s.flow_id, s.name, s.stage, s.asked_at, s.due_at, s.escalated, s.tell, \
           s.requester, s.author, d.body AS audience, f.plan_hash \
         FROM asks s JOIN flow_runs f ON f.id = s.run_id \
           LEFT JOIN audiences d ON d.organization_id = s.organization_id AND d.hash = s.audience \
         WHERE s.run_id IN ({list}) AND s.tell IS NOT NULL AND s.state = 'open' ORDER BY s.asked_at",
    );
    let values: Vec<Value> = ids(&held).collect();
    let statement = Statement::from_sql_and_values(db.get_database_backend(), sql, values.clone());
    let told = ToTell::find_by_statement(statement).all(db).await?;
    let sql = format!("UPDATE asks SET tell = NULL WHERE run_id IN ({list}) AND tell IS NOT NULL");
    execute(db, sql, values).await?;
    Ok(told)
}

fn run_ids(rows: &[sea_orm::QueryResult]) -> Result<Vec<Uuid>, DbErr> {
    let mut runs: Vec<Uuid> = rows
        .iter()
        .map(|row| row.try_get_by_index(0))
        .collect::<Result<_, _>>()?;
    runs.sort_unstable();
    runs.dedup();
    Ok(runs)
}

/// Takes up to `limit` decisions that were sealed since the last ones: none is told twice.
pub async fn take_decisions(
    db: &impl ConnectionTrait,
    organization: OrganizationId,
    limit: u64,
) -> Result<Vec<decision::Model>, DbErr> {
    let sql = format!(
        "SELECT seq FROM courier_cursors WHERE organization_id = $1{}",
        skip_locked(db)
    );
    let cursor = all(db, sql, [organization.0.into()]).await?;
    let Some(cursor) = cursor.first() else {
        return Ok(Vec::new());
    };
    let cursor: i64 = cursor.try_get_by_index(0)?;
    let entries = super::super::of(db, organization)
        .sealed_after(cursor, limit)
        .await?;
    if let Some(last) = entries.last() {
        let sql = "UPDATE courier_cursors SET seq = $1 WHERE organization_id = $2";
        execute(db, sql, [last.seq.into(), organization.0.into()]).await?;
    }
    Ok(entries)
}
