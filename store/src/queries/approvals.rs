//! What waits for people, and what they have said.

use std::collections::HashMap;

use neena_engine::approval::Audience;
use neena_engine::ids::{RunId, UserId};
use sea_orm::{
    ColumnTrait, ConnectionTrait, DbBackend, DbErr, EntityTrait, FromQueryResult, QueryFilter,
    QueryOrder, Statement, Value,
};
use uuid::Uuid;

use super::Tenant;
use super::flow_runs::READABLE;
use crate::entities::{approval, ask, audience};

/// Audiences asked for in one statement: each is an index range of its own.
const RANGES: usize = 100;

/// Whose inbox it is.
#[derive(Clone, Copy, Debug)]
pub struct Reader<'a> {
    pub user: UserId,
    pub email: &'a str,
}

/// An audience of the organization that is asked something.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Asked {
    pub hash: String,
    pub audience: Audience,
}

/// A question as an inbox shows it.
#[derive(Clone, Debug, PartialEq, Eq, FromQueryResult)]
pub struct Waiting {
    pub run_id: Uuid,
    /// The operation of the gate; -1: the whole run.
    pub idx: i64,
    /// The item of that operation; -1: none.
    pub item: i64,
    /// The key of the gate; empty for a plan.
    pub name: String,
    pub flow_id: Uuid,
    pub flow_name: Option<String>,
    /// Hash of who may answer.
    pub audience: String,
    /// The stage that is asked, from 0, and what it is called.
    pub stage: i32,
    pub stage_name: Option<String>,
    /// Approvals the stage has, and how many it takes.
    pub approvals: i64,
    pub needed: i32,
    pub plan_hash: String,
    pub triggered_by: String,
    pub instructions: Option<String>,
    pub asked_at: i64,
    pub due_at: Option<i64>,
    pub escalated: bool,
}

/// The place of a question in an inbox: the oldest first.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, FromQueryResult)]
pub struct Place {
    pub asked_at: i64,
    pub run_id: Uuid,
    /// The operation of the gate; -1: the whole run.
    pub idx: i64,
    /// The item of that operation; -1: none.
    pub item: i64,
    /// Hash of who may answer.
    pub audience: String,
    /// The stage that is asked, from 0.
    pub stage: i32,
    pub escalated: bool,
}

impl<C: ConnectionTrait> Tenant<'_, C> {
    /// The audiences that something is asked of now.
    pub async fn audiences(&self) -> Result<Vec<Asked>, DbErr> {
        let sql = "SELECT a.organization_id, a.hash, a.body FROM audiences a WHERE a.organization_id = $1 \
             AND EXISTS (SELECT 1 FROM asks s WHERE s.organization_id = a.organization_id \
               AND s.audience = a.hash AND s.state = 'open')";
        let rows: Vec<audience::Model> = audience::Entity::find()
            .from_raw_sql(self.statement(sql.to_owned(), vec![self.organization.0.into()]))
            .all(self.db)
            .await?;
        rows.into_iter()
            .map(|row| {
                let audience = serde_json::from_str(&row.body)
                    .map_err(|error| DbErr::Type(format!("audience {}: {error}", row.hash)))?;
                Ok(Asked {
                    hash: row.hash,
                    audience,
                })
            })
            .collect()
    }

    /// The first places, `most` of them, of what is asked of the audiences of these hashes, the oldest first; without
    /// what `reader` asked for or wrote themselves where they may not answer it, and without what they have answered
    /// in its stage. What else keeps somebody from answering is not looked at here.
    pub async fn inbox(
        &self,
        audiences: &[String],
        reader: Reader<'_>,
        most: u64,
    ) -> Result<Vec<Place>, DbErr> {
        let least = i64::try_from(most).unwrap_or(i64::MAX);
        let mut places: Vec<Place> = Vec::new();
        for audiences in audiences.chunks(RANGES) {
            places.extend(self.places(audiences, reader, least).await?);
        }
        places.sort_unstable();
        places.dedup();
        places.truncate(usize::try_from(most).unwrap_or(usize::MAX));
        Ok(places)
    }

    /// What is asked at these places, in their order; of what was decided meanwhile nothing.
    pub async fn at_places(&self, page: &[Place]) -> Result<Vec<Waiting>, DbErr> {
        let key = |run: Uuid, idx: i64, item: i64| (run, idx, item);
        let order: HashMap<_, usize> = page
            .iter()
            .enumerate()
            .map(|(at, place)| (key(place.run_id, place.idx, place.item), at))
            .collect();
        let at = |row: &Waiting| order.get(&key(row.run_id, row.idx, row.item)).copied();
        let mut waiting = self.waiting(page).await?;
        // A run may ask more than what is on this page, and another stage by now.
        waiting.retain(|row| at(row).is_some_and(|at| page[at].stage == row.stage));
        waiting.sort_by_key(at);
        Ok(waiting)
    }

    async fn places(
        &self,
        audiences: &[String],
        reader: Reader<'_>,
        most: i64,
    ) -> Result<Vec<Place>, DbErr> {
        let mut values: Vec<Value> = vec![
            self.organization.0.into(),
            reader.email.to_lowercase().into(),
            reader.user.0.into(),
            most.into(),
        ];
        let mut ranges = Vec::with_capacity(audiences.len());
        for hash in audiences {
            values.push(hash.clone().into());
            ranges.push(format!(
                "SELECT * FROM (SELECT s.asked_at, s.run_id, s.idx, s.item, s.audience, s.stage, s.escalated FROM asks s \
                 WHERE s.organization_id = $1 AND s.audience = ${} AND s.state = 'open' \
                   AND s.requester <> $2 AND (s.author IS NULL OR s.author <> $2) \
                   AND NOT EXISTS (SELECT 1 FROM approvals v WHERE v.run_id = s.run_id AND v.idx = s.idx \
                     AND v.item = s.item AND v.stage = s.stage AND v.approver = $3) \
                 ORDER BY s.asked_at, s.run_id, s.idx, s.item LIMIT $4) r",
                values.len()
            ));
        }
        let sql = format!(
            "{} ORDER BY asked_at, run_id, idx, item LIMIT $4",
            ranges.join(" UNION ALL ")
        );
        Place::find_by_statement(self.statement(sql, values))
            .all(self.db)
            .await
    }

    /// The open questions of the runs at these places.
    async fn waiting(&self, places: &[Place]) -> Result<Vec<Waiting>, DbErr> {
        if places.is_empty() {
            return Ok(Vec::new());
        }
        let mut runs: Vec<Uuid> = places.iter().map(|place| place.run_id).collect();
        runs.dedup();
        let mut values: Vec<Value> = vec![self.organization.0.into()];
        let list: Vec<String> = runs
            .into_iter()
            .map(|run| {
                values.push(run.into());
                format!("${}", values.len())
            })
            .collect();
        let (name, instructions, stage, head) = match self.db.get_database_backend() {
            DbBackend::Sqlite => (
                "json_extract(p.body, '$.flow_name')",
                "json_extract(p.body, '$.request.instructions')",
                "json_extract(p.body, '$.policy.stages[' || s.stage || '].name')",
                "run_plans p ON p.run_id = f.id AND p.hash = f.plan_hash".to_owned(),
            ),
            // OFFSET 0, so that each head is read once and not once for each of its texts.
            _ => (
                "(p.head ->> 'flow_name')",
                "(p.head -> 'request' ->> 'instructions')",
                "(p.head -> 'policy' -> 'stages' -> s.stage ->> 'name')",
                format!(
                    "LATERAL (SELECT {READABLE} AS head FROM run_plans \
                     WHERE run_plans.run_id = f.id AND run_plans.hash = f.plan_hash OFFSET 0) p ON true"
                ),
            ),
        };
        let sql = format!(
            "SELECT s.run_id, s.idx, s.item, s.name, s.flow_id, s.audience, s.stage, s.needed, s.asked_at, \
               s.due_at, s.escalated, f.plan_hash, f.triggered_by, {name} AS flow_name, \
               {instructions} AS instructions, CASE WHEN s.idx = -1 THEN {stage} END AS stage_name, \
               (SELECT COUNT(DISTINCT LOWER(COALESCE(v.stands_in_for, v.approver_email))) FROM approvals v \
                 WHERE v.run_id = s.run_id AND v.idx = s.idx AND v.item = s.item AND v.stage = s.stage \
                   AND v.decision = 'approve') AS approvals \
             FROM asks s JOIN flow_runs f ON f.id = s.run_id LEFT JOIN {head} \
             WHERE s.organization_id = $1 AND s.state = 'open' AND s.run_id IN ({})",
            list.join(", ")
        );
        Waiting::find_by_statement(self.statement(sql, values))
            .all(self.db)
            .await
    }

    /// What is asked about a run, the run itself first, and what was decided at its gates.
    pub async fn asks(&self, run: RunId) -> Result<Vec<ask::Model>, DbErr> {
        ask::Entity::find()
            .filter(ask::Column::RunId.eq(run.0))
            .filter(ask::Column::OrganizationId.eq(self.organization.0))
            .order_by_asc(ask::Column::Idx)
            .order_by_asc(ask::Column::Item)
            .all(self.db)
            .await
    }

    /// The votes on a run and its gates, oldest first.
    pub async fn votes(&self, run: RunId) -> Result<Vec<approval::Model>, DbErr> {
        if self.flow_run(run).await?.is_none() {
            return Ok(Vec::new());
        }
        approval::Entity::find()
            .filter(approval::Column::RunId.eq(run.0))
            .order_by_asc(approval::Column::At)
            .order_by_asc(approval::Column::Id)
            .all(self.db)
            .await
    }

    pub(super) fn statement(&self, sql: String, values: Vec<Value>) -> Statement {
        Statement::from_sql_and_values(self.db.get_database_backend(), sql, values)
    }
}
