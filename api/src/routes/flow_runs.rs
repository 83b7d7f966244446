//! Runs: reading them here; making and deciding them in the modules below.

pub(crate) mod approved;
pub(crate) mod canonical;
pub(crate) mod create;
pub(crate) mod decide;
pub(crate) mod decide_many;
pub(crate) mod plan_diff;
pub(crate) mod stored;

mod asks;
mod making;
mod orders;
mod plan;
mod say;
mod storing;
pub(crate) mod view;

use axum::Json;
use axum::extract::State;
use neena_engine::ids::{FlowId, RunId};
use neena_store::queries::standing::used_by;
use neena_store::queries::{self, TaskResults, Window};
use uuid::Uuid;

pub(crate) use orders::Orders;
use view::{PreviewView, RunView, RunWithResult};

use super::parameters::{ById, Paging};
use crate::auth::Caller;
use crate::error::ApiError;
use crate::extract::{Pairs, Query, QueryParameters};
use crate::state::AppState;

const THING: &str = "Flow run";

/// Results up to this many bytes are shown in lists.
const LISTED_RESULT: i64 = 16 << 10;

/// A page of one flow's runs.
#[derive(Debug, utoipa::IntoParams)]
#[into_params(parameter_in = Query)]
pub(crate) struct OfFlow {
    /// The flow.
    flow_id: Uuid,
}

impl QueryParameters for OfFlow {
    fn read(pairs: &mut Pairs) -> Option<OfFlow> {
        Some(OfFlow {
            flow_id: pairs.id("flow_id")?,
        })
    }
}

/// List flow runs
#[utoipa::path(
    get,
    path = "/flow_runs/all",
    tag = "Flow runs",
    params(Paging),
    responses((status = 200, body = Vec<RunView>))
)]
pub(crate) async fn all(
    State(app): State<AppState>,
    caller: Caller,
    Query(paging): Query<Paging>,
) -> Result<Json<Vec<RunView>>, ApiError> {
    Ok(Json(list(&app, &caller, None, paging.window()).await?))
}

/// List the runs of a flow
#[utoipa::path(
    get,
    path = "/flow_runs/all_for_flow_id",
    tag = "Flow runs",
    params(OfFlow, Paging),
    responses((status = 200, body = Vec<RunView>), (status = 404, description = "No such flow"))
)]
pub(crate) async fn all_for_flow_id(
    State(app): State<AppState>,
    caller: Caller,
    Query((of, paging)): Query<(OfFlow, Paging)>,
) -> Result<Json<Vec<RunView>>, ApiError> {
    let flow = FlowId(of.flow_id);
    if !queries::of(app.db().reader(), caller.organization)
        .has_flow(flow)
        .await?
    {
        return Err(ApiError::NotFound("Flow"));
    }
    Ok(Json(
        list(&app, &caller, Some(flow), paging.window()).await?,
    ))
}

/// List flow runs in short
#[utoipa::path(
    get,
    path = "/flow_runs/preview/all",
    tag = "Flow runs",
    params(Paging),
    responses((status = 200, body = Vec<PreviewView>))
)]
pub(crate) async fn preview_all(
    State(app): State<AppState>,
    caller: Caller,
    Query(paging): Query<Paging>,
) -> Result<Json<Vec<PreviewView>>, ApiError> {
    let tenant = queries::of(app.db().reader(), caller.organization);
    let ids = tenant.flow_run_ids(None, paging.window()).await?;
    let rows = tenant.flow_run_previews(&ids).await?;
    Ok(Json(rows.into_iter().map(PreviewView::from).collect()))
}

/// Get a flow run by id
#[utoipa::path(
    get,
    path = "/flow_runs/",
    tag = "Flow runs",
    params(ById),
    responses((status = 200, body = RunView), (status = 404, description = "Not found"))
)]
pub(crate) async fn read(
    State(app): State<AppState>,
    caller: Caller,
    Query(by): Query<ById>,
) -> Result<Json<RunView>, ApiError> {
    Ok(Json(one(&app, &caller, RunId(by.id)).await?))
}

/// Get a flow run with its result
#[utoipa::path(
    get,
    path = "/flow_runs/with_flow_result",
    tag = "Flow runs",
    params(ById),
    responses((status = 200, body = RunWithResult), (status = 404, description = "Not found"))
)]
pub(crate) async fn with_flow_result(
    State(app): State<AppState>,
    caller: Caller,
    Query(by): Query<ById>,
) -> Result<Json<RunWithResult>, ApiError> {
    // The result first: it is written with the last state, so a run read after it has ended, too.
    let tenant = queries::of(app.db().reader(), caller.organization);
    let mut result = tenant.flow_result(RunId(by.id)).await?;
    let run = one(&app, &caller, RunId(by.id)).await?;
    // One that ended in between has its result, too.
    if result.is_none() && run.has_ended() {
        result = tenant.flow_result(RunId(by.id)).await?;
    }
    Ok(Json(run.with_result(result)))
}

/// One run, whole.
async fn one(app: &AppState, caller: &Caller, run: RunId) -> Result<RunView, ApiError> {
    let tenant = queries::of(app.db().reader(), caller.organization);
    let page = tenant.flow_runs(&[run.0], TaskResults::Whole).await?;
    let view = view::page(app, &tenant, page).await?.pop();
    let view = view.ok_or(ApiError::NotFound(THING))?;
    Ok(view.started_by(used_by(app.db().reader(), run).await?))
}

async fn list(
    app: &AppState,
    caller: &Caller,
    flow: Option<FlowId>,
    window: Window,
) -> Result<Vec<RunView>, ApiError> {
    let tenant = queries::of(app.db().reader(), caller.organization);
    let ids = tenant.flow_run_ids(flow, window).await?;
    let page = tenant
        .flow_runs(&ids, TaskResults::UpTo(LISTED_RESULT))
        .await?;
    view::page(app, &tenant, page).await
}
