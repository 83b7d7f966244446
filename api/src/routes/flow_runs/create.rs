//! Making runs: a thousand in one call, one by itself, or one of a flow for a request.

use axum::extract::State;
use axum::response::Response;
use chrono::{DateTime, Datelike, Utc};
use neena_engine::ids::{FlowId, FlowRequestId, RunId};
use neena_engine::{Fault, Micros, loc};
use neena_store::entities::flow_request;
use neena_store::queries;
use serde::Deserialize;
use serde_json::Value;
use utoipa::ToSchema;
use uuid::Uuid;

use super::making::{Made, Making, Place, gather};
use super::plan::plan;
use super::view::RunView;
use crate::auth::Caller;
use crate::error::ApiError;
use crate::extract::{MOST_BYTES, Many, Once, Pairs, Post, Query, QueryParameters, payload};
use crate::routes::flow_requests::NewFlowRequest;
use crate::state::AppState;

/// A new run.
#[derive(Debug, Deserialize, ToSchema)]
pub(crate) struct NewFlowRun {
    pub(super) flow: Uuid,
    /// Id of a request, or a new request.
    pub(super) flow_request: RequestOf,
    /// `pending`, which is also the default.
    status: Option<String>,
    /// null, or `approved` by somebody who may approve.
    approval_status: Option<String>,
    /// When the run was triggered; now unless given.
    triggered_time: Option<DateTime<Utc>>,
    /// null: a new run has not ended.
    #[schema(value_type = Option<String>)]
    end_time: Option<Value>,
    /// Your own e-mail, which is also the default.
    triggered_by: Option<String>,
}

/// The request of a run.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(untagged)]
pub(crate) enum RequestOf {
    Stored(Uuid),
    /// Stored along with the run.
    New(Box<NewFlowRequest>),
}

payload!(NewFlowRun);

/// New runs.
type NewFlowRuns = Many<NewFlowRun>;

payload!(NewFlowRuns, MOST_BYTES, |_| Vec::new());

/// Which flow to run for which request.
#[derive(Debug, utoipa::IntoParams)]
#[into_params(parameter_in = Query)]
pub(crate) struct Execute {
    flow_id: Uuid,
    flow_request_id: Uuid,
}

impl QueryParameters for Execute {
    fn read(pairs: &mut Pairs) -> Option<Execute> {
        let (flow, request) = (pairs.id("flow_id"), pairs.id("flow_request_id"));
        Some(Execute {
            flow_id: flow?,
            flow_request_id: request?,
        })
    }
}

/// Create a flow run
///
/// It waits for approval of its plan, which is fixed here.
#[utoipa::path(
    post,
    path = "/flow_runs/",
    tag = "Flow runs",
    request_body = NewFlowRun,
    responses((status = 200, body = RunView))
)]
pub(crate) async fn create(
    State(app): State<AppState>,
    caller: Caller,
    Post { body, once }: Post<NewFlowRun>,
) -> Result<Response, ApiError> {
    let making = gather(&app, &caller, vec![body], Place::Body).await?;
    making.store(&app, caller, once, |mut one| one.pop()).await
}

/// Create flow runs
///
/// Up to 1,000, all or none: each is made as by itself, in the order given, and so are the answers.
#[utoipa::path(
    post,
    path = "/flow_runs/bulk",
    tag = "Flow runs",
    request_body = NewFlowRuns,
    responses((status = 200, body = Vec<RunView>))
)]
pub(crate) async fn create_many(
    State(app): State<AppState>,
    caller: Caller,
    Post {
        body: Many(all),
        once,
    }: Post<Many<NewFlowRun>>,
) -> Result<Response, ApiError> {
    let making = gather(&app, &caller, all, Place::Item).await?;
    making.store(&app, caller, once, |all| all).await
}

/// Run a flow for a request
///
/// Makes a run like `POST /flow_runs/`: it waits for approval.
#[utoipa::path(
    post,
    path = "/flows/execute",
    tag = "Flows",
    params(Execute),
    responses((status = 200, body = RunView), (status = 404, description = "No such flow or request"))
)]
pub(crate) async fn execute(
    State(app): State<AppState>,
    caller: Caller,
    once: Once,
    Query(which): Query<Execute>,
) -> Result<Response, ApiError> {
    let (flow, request) = find(&app, &caller, which.flow_id, which.flow_request_id).await?;
    let flow = flow.ok_or(ApiError::NotFound("Flow"))?;
    let request = request.ok_or(ApiError::NotFound("Flow request"))?;
    let at = |part: &'static str| loc!["query", format!("{part}_id")];
    let id = FlowRequestId(request.id);
    let plan = plan(&app, &caller, flow, request, at).await?;
    let made = Made::new(RunId(Uuid::now_v7()), id, plan, None, false)?;
    let making = Making::one(made);
    making.store(&app, caller, once, |mut one| one.pop()).await
}

impl NewFlowRun {
    pub(super) fn triggered(&self) -> Option<Micros> {
        self.triggered_time.map(micros)
    }

    /// Whether its requester approves it along with making it.
    pub(super) fn is_approved(&self) -> bool {
        self.approval_status.is_some()
    }
}

/// What a requester may not decide by writing it into a new run.
pub(super) fn smuggled(body: &NewFlowRun, caller: &Caller) -> Vec<Fault> {
    let mut faults = Vec::new();
    let mut fault = |field: &'static str, kind, msg: &str| {
        faults.push(Fault::new(loc!["body", field], kind, msg));
    };
    if body
        .status
        .as_deref()
        .is_some_and(|status| status != "pending")
    {
        fault("status", "literal_error", "A new run is `pending`");
    }
    if body
        .approval_status
        .as_deref()
        .is_some_and(|status| status != "approved")
    {
        fault(
            "approval_status",
            "literal_error",
            "A new run is not decided (null) or `approved`",
        );
    }
    if body
        .triggered_time
        .is_some_and(|time| !is_shown(micros(time)))
    {
        fault(
            "triggered_time",
            "datetime_parsing",
            "Input should be a datetime in the years 0000 to 9999 of UTC",
        );
    }
    if body.end_time.as_ref().is_some_and(|time| !time.is_null()) {
        fault("end_time", "none_required", "A new run has not ended");
    }
    if body
        .triggered_by
        .as_deref()
        .is_some_and(|by| !caller.is(by))
    {
        fault(
            "triggered_by",
            "value_error",
            "A run is triggered by the caller",
        );
    }
    faults
}

fn micros(time: DateTime<Utc>) -> Micros {
    Micros(time.timestamp_micros())
}

/// Whether RFC 3339 has a word for it in UTC; an offset or a leap second may lead out of its years.
fn is_shown(time: Micros) -> bool {
    DateTime::from_timestamp_micros(time.0).is_some_and(|time| (0..=9_999).contains(&time.year()))
}

type Found = (Option<queries::FlowVersion>, Option<flow_request::Model>);

async fn find(
    app: &AppState,
    caller: &Caller,
    flow: Uuid,
    request: Uuid,
) -> Result<Found, ApiError> {
    let tenant = queries::of(app.db().reader(), caller.organization);
    Ok((
        tenant.flow(FlowId(flow)).await?,
        tenant.flow_request(FlowRequestId(request)).await?,
    ))
}
