//! Runs as the API shows them: ids from one index range, newest first, then one query per table.

use std::cmp::Reverse;

use neena_engine::ids::{FlowId, RunId};
use sea_orm::sea_query::{CaseStatement, Expr};
use sea_orm::{
    ColumnTrait, Condition, ConnectionTrait, DbBackend, DbErr, EntityTrait, FromQueryResult,
    JoinType, QueryFilter, QueryOrder, QuerySelect, RelationDef,
};
use uuid::Uuid;

use super::{Tenant, Window, among, owned};
use crate::entities::flow_run::{Column, Entity, Model};
use crate::entities::{flow_result, live_run, run_plan, task_run};

/// Runs of a page with what belongs to them.
#[derive(Clone, Debug, Default)]
pub struct Page {
    /// Newest first.
    pub runs: Vec<Model>,
    /// Of all these runs, in no particular order.
    pub task_runs: Vec<task_run::Model>,
    /// Live rows of those that are not final.
    pub live: Vec<live_run::Model>,
}

/// How much of the tasks' results a page carries.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum TaskResults {
    /// All of them.
    Whole,
    /// Those of at most so many bytes; the others are null, with their size.
    UpTo(i64),
}

/// A run as an inbox shows it, in the words of the plan that is to be approved.
#[derive(Clone, Debug, FromQueryResult)]
pub struct Preview {
    pub id: Uuid,
    pub flow_name: Option<String>,
    pub instructions: Option<String>,
    pub status: String,
    pub approval_status: Option<String>,
    pub triggered_time: i64,
    pub end_time: Option<i64>,
}

impl<C: ConnectionTrait> Tenant<'_, C> {
    /// The row of a run.
    pub async fn flow_run(&self, id: RunId) -> Result<Option<Model>, DbErr> {
        Ok(self.flow_run_rows(&[id.0]).await?.pop())
    }

    /// Ids of a page of the runs, of all flows or of one.
    pub async fn flow_run_ids(
        &self,
        flow: Option<FlowId>,
        window: Window,
    ) -> Result<Vec<Uuid>, DbErr> {
        let mut ids = Entity::find()
            .select_only()
            .column(Column::Id)
            .filter(Column::OrganizationId.eq(self.organization.0));
        if let Some(flow) = flow {
            ids = ids.filter(Column::FlowId.eq(flow.0));
        }
        ids.order_by_desc(Column::Id)
            .offset(window.skip)
            .limit(window.limit)
            .into_tuple()
            .all(self.db)
            .await
    }

    /// The last run of `flow`, made before `run`, that was approved.
    pub async fn approved_before(&self, flow: FlowId, run: RunId) -> Result<Option<Model>, DbErr> {
        Entity::find()
            .filter(Column::OrganizationId.eq(self.organization.0))
            .filter(Column::FlowId.eq(flow.0))
            .filter(Column::Id.lt(run.0))
            .filter(Column::ApprovalStatus.eq("approved"))
            .order_by_desc(Column::Id)
            .one(self.db)
            .await
    }

    /// The runs of `ids`, with their task runs and live rows.
    pub async fn flow_runs(&self, ids: &[Uuid], results: TaskResults) -> Result<Page, DbErr> {
        let runs = self.flow_run_rows(ids).await?;
        let own: Vec<Uuid> = runs.iter().map(|run| run.id).collect();
        let open = |run: &&Model| matches!(run.status.as_str(), "pending" | "in_progress");
        let unfinished: Vec<Uuid> = runs.iter().filter(open).map(|run| run.id).collect();
        Ok(Page {
            task_runs: self.task_runs(&own, results).await?,
            live: self.live_runs(&unfinished).await?,
            runs,
        })
    }

    /// The runs of `ids` as an inbox shows them, newest first.
    pub async fn flow_run_previews(&self, ids: &[Uuid]) -> Result<Vec<Preview>, DbErr> {
        if ids.is_empty() {
            return Ok(Vec::new());
        }
        let previews = Entity::find()
            .select_only()
            .columns([
                Column::Id,
                Column::Status,
                Column::ApprovalStatus,
                Column::TriggeredTime,
                Column::EndTime,
            ])
            .expr_as(self.of_plan("flow_name", None), "flow_name")
            .expr_as(
                self.of_plan("request", Some("instructions")),
                "instructions",
            )
            .join(JoinType::LeftJoin, plan_of_run())
            .filter(owned(self.db, Column::OrganizationId, self.organization))
            .filter(among(self.db, Column::Id, ids));
        let mut previews: Vec<Preview> = previews.into_model().all(self.db).await?;
        previews.sort_unstable_by_key(|preview| Reverse(preview.id));
        Ok(previews)
    }

    /// The result of a run that ended.
    pub async fn flow_result(&self, run: RunId) -> Result<Option<flow_result::Model>, DbErr> {
        flow_result::Entity::find()
            .filter(flow_result::Column::RunId.eq(run.0))
            .filter(flow_result::Column::OrganizationId.eq(self.organization.0))
            .one(self.db)
            .await
    }

    /// The rows of those of the runs that are there, newest first.
    pub async fn flow_run_rows(&self, ids: &[Uuid]) -> Result<Vec<Model>, DbErr> {
        if ids.is_empty() {
            return Ok(Vec::new());
        }
        let mut rows = Entity::find()
            .filter(owned(self.db, Column::OrganizationId, self.organization))
            .filter(among(self.db, Column::Id, ids))
            .all(self.db)
            .await?;
        rows.sort_unstable_by_key(|row| Reverse(row.id));
        Ok(rows)
    }

    async fn live_runs(&self, ids: &[Uuid]) -> Result<Vec<live_run::Model>, DbErr> {
        if ids.is_empty() {
            return Ok(Vec::new());
        }
        live_run::Entity::find()
            .filter(owned(
                self.db,
                live_run::Column::OrganizationId,
                self.organization,
            ))
            .filter(among(self.db, live_run::Column::RunId, ids))
            .all(self.db)
            .await
    }

    /// Task runs of runs that are known to be this organization's.
    async fn task_runs(
        &self,
        runs: &[Uuid],
        results: TaskResults,
    ) -> Result<Vec<task_run::Model>, DbErr> {
        use task_run::Column as C;
        if runs.is_empty() {
            return Ok(Vec::new());
        }
        // A row that waits for its first attempt of a new round has not started in it.
        let started = Condition::any()
            .add(C::Status.ne("pending"))
            .add(C::StartTime.is_not_null());
        let mut rows = task_run::Entity::find()
            .filter(among(self.db, C::RunId, runs))
            .filter(started);
        if let TaskResults::UpTo(limit) = results {
            let short = CaseStatement::new().case(
                C::ResultSize.lte(limit),
                Expr::col((task_run::Entity, C::Result)),
            );
            rows = rows
                .select_only()
                .columns([
                    C::RunId,
                    C::Idx,
                    C::Item,
                    C::Id,
                    C::Status,
                    C::Epoch,
                    C::Attempt,
                ])
                .columns([
                    C::AttemptsBefore,
                    C::StartTime,
                    C::EndTime,
                    C::DueAt,
                    C::ResultSize,
                ])
                .columns([C::Error, C::PrepPrompt, C::PrepAnswer])
                .expr_as(short, "result");
        }
        rows.all(self.db).await
    }

    /// A text inside the head of the run's plan.
    fn of_plan(&self, field: &str, inner: Option<&str>) -> Expr {
        let sqlite = self.db.get_database_backend() == DbBackend::Sqlite;
        Expr::cust(match (sqlite, inner) {
            (true, None) => format!("json_extract(run_plans.body, '$.{field}')"),
            (true, Some(inner)) => format!("json_extract(run_plans.body, '$.{field}.{inner}')"),
            (false, None) => format!("({READABLE} ->> '{field}')"),
            (false, Some(inner)) => format!("({READABLE} -> '{field}' ->> '{inner}')"),
        })
    }
}

/// The head of a plan, for Postgres. It reads no JSON in which anything is U+0000, as metadata may be: that
/// is shown as U+FFFD. A backslash that is itself escaped begins no escape.
pub(super) const READABLE: &str = r"(CASE WHEN strpos(run_plans.body, '\u0000') = 0 THEN run_plans.body ELSE regexp_replace(run_plans.body, '(?<!\\)((?:\\\\)*)\\u0000', '\1\\ufffd', 'g') END)::json";

/// The current plan of a run.
fn plan_of_run() -> RelationDef {
    Entity::belongs_to(run_plan::Entity)
        .from((Column::Id, Column::PlanHash))
        .to((run_plan::Column::RunId, run_plan::Column::Hash))
        .into()
}
