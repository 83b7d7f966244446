//! What changed since the last approved run of a flow: what an approver looks at first.

use axum::extract::State;
use axum::http::StatusCode;
use axum::response::Response;
use neena_engine::ids::{FlowId, RunId};
use neena_engine::plan::{Change, diff};
use serde::Serialize;
use utoipa::ToSchema;
use uuid::Uuid;

use super::approved::last_approved;
use super::decide::{OnRun, find};
use crate::auth::Caller;
use crate::error::{ApiError, json_text};
use crate::extract::Query;
use crate::offload::offload;
use crate::state::AppState;

/// Plans of more operations than this are compared on a thread for such work.
const SMALL: usize = 256;

/// What differs between the plan of a run and that of the last approved run before it.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = PlanDiff)]
pub(crate) struct DiffView {
    flow_run: Uuid,
    /// The run it is compared with; null: no run of the flow was approved before.
    against: Option<Uuid>,
    plan_hash: String,
    against_plan_hash: Option<String>,
    /// Whether both are one plan.
    same: bool,
    #[schema(value_type = Vec<ChangeView>)]
    changes: Vec<Change>,
}

/// One difference.
#[derive(ToSchema)]
#[schema(as = PlanChange)]
#[expect(dead_code, reason = "documents an answer")]
struct ChangeView {
    /// `operation`, `dependency`, `argument`, `code`, `policy`, `setting` or `request`.
    what: String,
    /// `added`, `removed` or `changed`.
    change: String,
    /// The name of the task it is about.
    operation: Option<String>,
    /// That task's `index`.
    index: Option<u32>,
    field: Option<String>,
    before: Option<serde_json::Value>,
    after: Option<serde_json::Value>,
}

/// Compare the plan of a flow run with the last approved one
///
/// The last one before it: of the same flow, made before this run, or the one under which this run has begun before its
/// code moved on. Without one everything is `added`.
#[utoipa::path(
    get,
    path = "/flow_runs/plan_diff",
    tag = "Flow runs",
    params(OnRun),
    responses((status = 200, body = DiffView), (status = 404, description = "Not found"))
)]
pub(crate) async fn plan_diff(
    State(app): State<AppState>,
    caller: Caller,
    Query(on): Query<OnRun>,
) -> Result<Response, ApiError> {
    let run = RunId(on.flow_run_id);
    let row = find(&app, &caller, run).await?;
    let flow = FlowId(row.flow_id);
    let last = last_approved(&app, caller.organization, flow, run).await?;
    let (against, before) = last.unzip();
    let after = app.store().plan(run).await?;
    let heavy = after.graph.len() > SMALL
        || before
            .as_ref()
            .is_some_and(|before| before.graph.len() > SMALL);
    let text = offload(heavy, move || {
        serde_json::to_string(&DiffView {
            flow_run: run.0,
            against,
            plan_hash: after.hash.to_string(),
            against_plan_hash: before.as_ref().map(|before| before.hash.to_string()),
            same: before
                .as_ref()
                .is_some_and(|before| before.hash == after.hash),
            changes: diff(before.as_deref(), &after),
        })
    })
    .await?
    .map_err(|error| ApiError::Internal(error.to_string()))?;
    Ok(json_text(StatusCode::OK, text))
}
