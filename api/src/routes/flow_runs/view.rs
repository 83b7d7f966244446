//! Runs and task runs as the contract shows them.

use std::collections::HashMap;

use neena_engine::run::{ApprovalStatus, Phase, RunStatus};
use neena_store::entities::{flow_result, flow_run, live_run, task_run};
use neena_store::queries::{Page, Preview, Tenant};
use sea_orm::ConnectionTrait;
use serde::Serialize;
use serde_json::value::RawValue;
use utoipa::ToSchema;
use uuid::Uuid;

use crate::error::ApiError;
use crate::state::AppState;
use crate::view::{Time, raw};

/// A run of a flow.
#[derive(Clone, Debug, Serialize, ToSchema)]
#[schema(as = FlowRun)]
pub(crate) struct RunView {
    flow: Uuid,
    /// The version of the flow it was made from.
    flow_version: i32,
    flow_request: Uuid,
    /// `pending`, `in_progress`, `completed`, `failed` or `cancelled`.
    status: String,
    /// null, `approved` or `rejected`.
    approval_status: Option<String>,
    triggered_time: Time,
    /// When its first task started.
    start_time: Option<Time>,
    end_time: Option<Time>,
    triggered_by: String,
    id: Uuid,
    /// SHA-256 of what is approved and what runs.
    plan_hash: String,
    /// Grows with each retry, from 1.
    round: i32,
    /// What it waits for, while it stands still.
    waiting_for: Option<String>,
    /// Why it did not complete.
    reason: Option<String>,
    /// Of one run: by what it was approved beforehand, if it was.
    #[serde(skip_serializing_if = "Option::is_none")]
    approved_by: Option<ApprovedBy>,
    /// Started and skipped tasks in topological order.
    task_runs: Vec<TaskRunView>,
}

/// What approved a run before it was made.
#[derive(Clone, Copy, Debug, Serialize, ToSchema)]
pub(crate) struct ApprovedBy {
    standing_approval: Uuid,
}

/// What became of one task, and of one item of it.
#[derive(Clone, Debug, Serialize, ToSchema)]
#[schema(as = TaskRun)]
pub(crate) struct TaskRunView {
    id: Uuid,
    flow_run: Uuid,
    task_operation_index: i64,
    /// null unless the task is fanned out.
    item_index: Option<i64>,
    /// `pending`, `in_progress`, `completed`, `failed`, `cancelled` or `skipped`.
    status: String,
    start_time: Option<Time>,
    end_time: Option<Time>,
    /// Any JSON. Lists carry results up to 16 KiB; for a larger one see `result_size` and the run itself.
    #[schema(value_type = Option<serde_json::Value>)]
    result: Option<Box<RawValue>>,
    /// Bytes of the result.
    result_size: Option<i64>,
    /// null or `{"type", "message"}`.
    #[schema(value_type = Option<Object>)]
    error: Option<Box<RawValue>>,
    attempt: i64,
    /// `{"messages": [{"role", "content"}]}`; null unless a language model prepared the task.
    #[schema(value_type = Option<Object>)]
    task_prep_prompt: Option<Box<RawValue>>,
    /// `{"parameters": [{"name", "value", "explanation"}]}`: what was passed, and where it came from.
    #[schema(value_type = Option<Object>)]
    task_prep_answer: Option<Box<RawValue>>,
}

/// A run with its result.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = FlowRunWithResult)]
pub(crate) struct RunWithResult {
    #[serde(flatten)]
    run: RunView,
    /// null until the run ends.
    flow_result: Option<ResultView>,
}

/// The result of a run.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = FlowResult)]
pub(crate) struct ResultView {
    body: String,
    trigger_run_id: Option<Uuid>,
    flow_run_id: Uuid,
    organization_id: Uuid,
    id: Uuid,
    created_date: Time,
    modified_date: Option<Time>,
    created_by_email: Option<String>,
    modified_by_email: Option<String>,
    deleted_at: Option<Time>,
}

/// A run in short, in the words of its plan.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = FlowRunPreview)]
pub(crate) struct PreviewView {
    id: Uuid,
    flow_name: String,
    flow_request_instructions: String,
    approval_status: Option<String>,
    start_time: Time,
    status: String,
    end_time: Option<Time>,
}

impl RunView {
    /// A run as its row is, with nothing of its tasks.
    pub(crate) fn of(row: flow_run::Model, live: Option<&live_run::Model>) -> RunView {
        RunView {
            approved_by: None,
            waiting_for: live.and_then(|live| waiting_for(live, &row)),
            flow: row.flow_id,
            flow_version: row.flow_version,
            flow_request: row.flow_request_id,
            status: row.status,
            approval_status: row.approval_status,
            triggered_time: Time::of(row.triggered_time),
            start_time: row.start_time.map(Time::of),
            end_time: row.end_time.map(Time::of),
            triggered_by: row.triggered_by,
            id: row.id,
            plan_hash: row.plan_hash,
            round: row.round,
            reason: row.reason,
            task_runs: Vec::new(),
        }
    }

    /// With its task runs, in this order.
    pub(crate) fn with_tasks(mut self, rows: Vec<task_run::Model>) -> RunView {
        self.task_runs = rows.into_iter().map(TaskRunView::from).collect();
        self
    }

    /// With the standing approval it was started by.
    pub(super) fn started_by(mut self, standing: Option<Uuid>) -> RunView {
        self.approved_by = standing.map(|standing_approval| ApprovedBy { standing_approval });
        self
    }

    /// A run no worker has seen yet.
    pub(super) fn fresh(row: flow_run::Model) -> RunView {
        let what = if row.approval_status.is_some() {
            "worker"
        } else {
            "approval"
        };
        RunView {
            waiting_for: Some(what.to_owned()),
            ..RunView::of(row, None)
        }
    }

    /// The run as its approval left it, whatever has become of it since.
    pub(super) fn approved(mut row: flow_run::Model) -> RunView {
        row.status = RunStatus::InProgress.as_str().to_owned();
        row.approval_status = Some(ApprovalStatus::Approved.as_str().to_owned());
        RunView::fresh(row)
    }

    pub(super) fn id(&self) -> Uuid {
        self.id
    }

    pub(super) fn has_ended(&self) -> bool {
        self.end_time.is_some()
    }

    pub(super) fn with_result(self, result: Option<flow_result::Model>) -> RunWithResult {
        RunWithResult {
            run: self,
            flow_result: result.map(ResultView::from),
        }
    }
}

/// The runs of a page, each with its task runs in order.
pub(super) async fn page<C: ConnectionTrait>(
    app: &AppState,
    tenant: &Tenant<'_, C>,
    page: Page,
) -> Result<Vec<RunView>, ApiError> {
    let with_tasks: HashMap<Uuid, (Uuid, i32)> = page
        .runs
        .iter()
        .map(|run| (run.id, (run.flow_id, run.flow_version)))
        .collect();
    let versions = page
        .task_runs
        .iter()
        .filter_map(|task| with_tasks.get(&task.run_id).copied());
    let orders = app.orders().of(tenant, versions.collect()).await?;
    let live: HashMap<Uuid, live_run::Model> = page
        .live
        .into_iter()
        .map(|live| (live.run_id, live))
        .collect();
    let mut tasks: HashMap<Uuid, Vec<task_run::Model>> = HashMap::new();
    for task in page.task_runs {
        tasks.entry(task.run_id).or_default().push(task);
    }
    Ok(page
        .runs
        .into_iter()
        .map(|run| {
            let mut rows = tasks.remove(&run.id).unwrap_or_default();
            let order = orders.get(&(run.flow_id, run.flow_version));
            let place = |index: i64| order.and_then(|order| order.get(&index).copied());
            rows.sort_by_key(|task| (place(task.idx), task.idx, task.item));
            let live = live.get(&run.id);
            RunView::of(run, live).with_tasks(rows)
        })
        .collect())
}

/// What a live run waits for; none while it is worked on.
fn waiting_for(live: &live_run::Model, run: &flow_run::Model) -> Option<String> {
    let what = match live.phase.parse::<Phase>().ok()? {
        Phase::Waiting => "approval",
        Phase::Ready => "worker",
        Phase::Paused => "resume",
        Phase::Parked => return Some(run.reason.clone().unwrap_or_else(|| "timer".to_owned())),
        Phase::Running | Phase::Closing => return None,
    };
    Some(what.to_owned())
}

impl From<task_run::Model> for TaskRunView {
    fn from(row: task_run::Model) -> TaskRunView {
        TaskRunView {
            id: row.id,
            flow_run: row.run_id,
            task_operation_index: row.idx,
            item_index: Some(row.item).filter(|item| *item >= 0),
            status: row.status,
            start_time: row.start_time.map(Time::of),
            end_time: row.end_time.map(Time::of),
            result: row.result.and_then(raw),
            result_size: row.result_size,
            error: row.error.and_then(raw),
            attempt: row.attempt,
            task_prep_prompt: row.prep_prompt.and_then(raw),
            task_prep_answer: row.prep_answer.and_then(raw),
        }
    }
}

impl From<flow_result::Model> for ResultView {
    fn from(row: flow_result::Model) -> ResultView {
        ResultView {
            body: row.body,
            trigger_run_id: None,
            flow_run_id: row.run_id,
            organization_id: row.organization_id,
            id: row.id,
            created_date: Time::of(row.created_at),
            modified_date: None,
            created_by_email: None,
            modified_by_email: None,
            deleted_at: None,
        }
    }
}

impl From<Preview> for PreviewView {
    fn from(row: Preview) -> PreviewView {
        PreviewView {
            id: row.id,
            flow_name: row.flow_name.unwrap_or_default(),
            flow_request_instructions: row.instructions.unwrap_or_default(),
            approval_status: row.approval_status,
            start_time: Time::of(row.triggered_time),
            status: row.status,
            end_time: row.end_time.map(Time::of),
        }
    }
}
