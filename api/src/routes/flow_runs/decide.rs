//! Deciding about a run by its id, or about a gate of it: each handler says what, `deciding` does it.

use axum::Json;
use axum::extract::State;
use neena_engine::ids::RunId;
use neena_engine::run::{Decision, Phase};
use neena_store::entities::flow_run;
use neena_store::queries;
use uuid::Uuid;

use super::say::{OnPlan, Words};
use super::view::RunView;
use super::{THING, one};
use crate::auth::Caller;
use crate::deciding::{Outcome, decide};
use crate::error::ApiError;
use crate::extract::{OptionalBody, Pairs, Query, QueryParameters};
use crate::state::AppState;

/// A decision about a run.
#[derive(Debug, utoipa::IntoParams)]
#[into_params(parameter_in = Query)]
pub(crate) struct OnRun {
    pub(super) flow_run_id: Uuid,
}

impl QueryParameters for OnRun {
    fn read(pairs: &mut Pairs) -> Option<OnRun> {
        Some(OnRun {
            flow_run_id: pairs.id("flow_run_id")?,
        })
    }
}

/// Approve a flow run
///
/// What is approved is the run's plan or, where a task is named, the gate before it. Approving again what you
/// approved changes nothing.
#[utoipa::path(
    put,
    path = "/flow_runs/approve",
    tag = "Flow runs",
    params(OnPlan),
    request_body = Option<Words>,
    responses(
        (status = 200, body = RunView),
        (status = 404, description = "No such run, or no gate there"),
        (status = 409, description = "It was decided, its time is over, or the code of the plan has changed"),
        (status = 412, description = "The plan has another hash")
    )
)]
pub(crate) async fn approve(
    State(app): State<AppState>,
    caller: Caller,
    Query(on): Query<OnPlan>,
    OptionalBody(words): OptionalBody<Words>,
) -> Result<Json<RunView>, ApiError> {
    let run = on.run();
    let whole = on.is_whole();
    let decision = Decision::Approve(on.say(words, caller.actor())?);
    let outcome = decide(&app, caller.organization, run, decision).await?;
    match outcome {
        Outcome {
            phase: Some(Phase::Ready),
            before: Some(row),
        } if whole => Ok(Json(RunView::approved(row))),
        _ => Ok(Json(one(&app, &caller, run).await?)),
    }
}

/// Reject a flow run
///
/// A run whose plan is rejected is cancelled and never starts; a task whose gate is rejected fails.
#[utoipa::path(
    put,
    path = "/flow_runs/reject",
    tag = "Flow runs",
    params(OnPlan),
    request_body = Option<Words>,
    responses(
        (status = 200, body = RunView),
        (status = 404, description = "No such run, or no gate there"),
        (status = 409, description = "It was decided, or its time is over"),
        (status = 412, description = "The plan has another hash")
    )
)]
pub(crate) async fn reject(
    State(app): State<AppState>,
    caller: Caller,
    Query(on): Query<OnPlan>,
    OptionalBody(words): OptionalBody<Words>,
) -> Result<Json<RunView>, ApiError> {
    let run = on.run();
    let decision = Decision::Reject(on.say(words, caller.actor())?);
    decided(&app, &caller, run, decision).await
}

/// Cancel a flow run
///
/// No task starts after it; what runs is stopped.
#[utoipa::path(
    put,
    path = "/flow_runs/cancel",
    tag = "Flow runs",
    params(OnRun),
    responses(
        (status = 200, body = RunView),
        (status = 404, description = "Not found"),
        (status = 409, description = "It is over")
    )
)]
pub(crate) async fn cancel(
    State(app): State<AppState>,
    caller: Caller,
    Query(on): Query<OnRun>,
) -> Result<Json<RunView>, ApiError> {
    let decision = Decision::Cancel {
        actor: caller.actor(),
    };
    decided(&app, &caller, RunId(on.flow_run_id), decision).await
}

/// Retry a flow run
///
/// Runs again from the failed tasks, keeping what completed, under the same plan and approval.
#[utoipa::path(
    put,
    path = "/flow_runs/retry",
    tag = "Flow runs",
    params(OnRun),
    responses(
        (status = 200, body = RunView),
        (status = 404, description = "Not found"),
        (status = 409, description = "It is not over, it completed, or it was never approved")
    )
)]
pub(crate) async fn retry(
    State(app): State<AppState>,
    caller: Caller,
    Query(on): Query<OnRun>,
) -> Result<Json<RunView>, ApiError> {
    let decision = Decision::Retry {
        actor: caller.actor(),
    };
    decided(&app, &caller, RunId(on.flow_run_id), decision).await
}

async fn decided(
    app: &AppState,
    caller: &Caller,
    run: RunId,
    decision: Decision,
) -> Result<Json<RunView>, ApiError> {
    decide(app, caller.organization, run, decision).await?;
    Ok(Json(one(app, caller, run).await?))
}

pub(super) async fn find(
    app: &AppState,
    caller: &Caller,
    run: RunId,
) -> Result<flow_run::Model, ApiError> {
    let tenant = queries::of(app.db().reader(), caller.organization);
    tenant.flow_run(run).await?.ok_or(ApiError::NotFound(THING))
}
