//! Making a run: the plan is built and hashed outside the transaction, then all is written in one.

use std::sync::Arc;

use axum::extract::State;
use axum::response::Response;
use chrono::{DateTime, Datelike, Utc};
use futures_util::FutureExt;
use neena_engine::approval::Mode;
use neena_engine::ids::{FlowId, FlowRequestId, RunId};
use neena_engine::plan::Plan;
use neena_engine::run::{Beforehand, Decision, Say};
use neena_engine::{Fault, Micros, loc};
use neena_store::entities::flow_request;
use neena_store::queries::standing::used_by;
use neena_store::queries::{self, FlowVersion};
use neena_store::{NewRun, insert_run};
use serde::Deserialize;
use serde_json::Value;
use utoipa::ToSchema;
use uuid::Uuid;

use super::plan::plan;
use super::view::RunView;
use crate::auth::Caller;
use crate::deciding::decide_new;
use crate::error::ApiError;
use crate::extract::{Once, Pairs, Post, Query, QueryParameters, payload};
use crate::routes::flow_requests::unknown;
use crate::routes::standing_approvals::covering as standing;
use crate::state::AppState;

/// A new run.
#[derive(Debug, Deserialize, ToSchema)]
pub(crate) struct NewFlowRun {
    flow: Uuid,
    flow_request: Uuid,
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

payload!(NewFlowRun);

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
    let mut faults = smuggled(&body, &caller);
    let (flow, request) = find(&app, &caller, body.flow, body.flow_request).await?;
    if flow.is_none() {
        faults.push(unknown("flow", "Flow"));
    }
    if request.is_none() {
        faults.push(unknown("flow_request", "Flow request"));
    }
    let (Some(flow), Some(request), true) = (flow, request, faults.is_empty()) else {
        return Err(ApiError::Invalid(faults));
    };
    let at = |part: &'static str| loc!["body", part];
    let plan = plan(&app, &caller, flow, &request, at).await?;
    let new = Made {
        run: RunId(Uuid::now_v7()),
        request: FlowRequestId(request.id),
        plan,
        triggered: body.triggered_time.map(micros),
        approve: body.approval_status.is_some(),
    };
    store(&app, caller, once, new).await
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
    let plan = plan(&app, &caller, flow, &request, at).await?;
    let new = Made {
        run: RunId(Uuid::now_v7()),
        request: FlowRequestId(request.id),
        plan,
        triggered: None,
        approve: false,
    };
    store(&app, caller, once, new).await
}

/// What a requester may not decide by writing it into a new run.
fn smuggled(body: &NewFlowRun, caller: &Caller) -> Vec<Fault> {
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

type Found = (Option<FlowVersion>, Option<flow_request::Model>);

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

/// A run that is planned, not yet stored.
struct Made {
    run: RunId,
    request: FlowRequestId,
    plan: Arc<Plan>,
    triggered: Option<Micros>,
    /// Whether its requester approves it along with making it.
    approve: bool,
}

async fn store(
    app: &AppState,
    caller: Caller,
    once: Once,
    made: Made,
) -> Result<Response, ApiError> {
    let Made {
        run,
        request,
        plan,
        triggered,
        approve,
    } = made;
    let new = NewRun::new(run, request, Arc::clone(&plan), triggered)
        .map_err(|error| ApiError::Internal(error.to_string()))?;
    let candidates = standing::candidates(app, &plan).await?;
    let made = once.run(app.db(), move |tx, now| {
        async move {
            insert_run(tx, &new).await?;
            let organization = caller.organization;
            let standing = standing::covering(tx, organization, run, &candidates, now).await?;
            let beforehand = standing.map(|why| Decision::Start {
                actor: caller.actor(),
                why,
            });
            let by_standing = beforehand.is_some();
            let decision = beforehand.or_else(|| decided_at_once(&caller, &plan, approve));
            let messages = match decision {
                Some(decision) => decide_new(tx, caller.organization, run, decision, &plan).await?,
                None => Vec::new(),
            };
            let row = queries::of(tx, caller.organization).flow_run(run).await?;
            let row = row.ok_or_else(|| ApiError::Internal("the new run is gone".to_owned()))?;
            let view = RunView::fresh(row);
            let view = match by_standing {
                true => view.started_by(used_by(tx, run).await?),
                false => view,
            };
            Ok((view, messages))
        }
        .boxed()
    });
    let (response, messages) = made.await?;
    app.announce(messages, None);
    Ok(response)
}

/// What is decided about a run along with making it.
fn decided_at_once(caller: &Caller, plan: &Plan, approve: bool) -> Option<Decision> {
    let actor = caller.actor();
    if plan.head.policy.mode == Mode::None {
        let why = Beforehand::Policy;
        return Some(Decision::Start { actor, why });
    }
    approve.then(|| Decision::Approve(Say::of_run(actor, None)))
}
