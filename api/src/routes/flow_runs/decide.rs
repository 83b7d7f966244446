//! Deciding about a run: one transition for every way in, authorized here.

use std::collections::HashMap;

use axum::Json;
use axum::extract::State;
use neena_engine::Hash;
use neena_engine::ids::{RunId, TaskDefinitionId};
use neena_engine::run::{Decision, Phase, Refused, RunStatus, Say};
use neena_store::entities::flow_run;
use neena_store::queries::{self, catalogue};
use neena_store::{Decided, Deciding};
use uuid::Uuid;

use super::view::RunView;
use super::{THING, one};
use crate::auth::Caller;
use crate::error::ApiError;
use crate::extract::{Pairs, Query, QueryParameters};
use crate::state::AppState;

/// A decision about the plan of a run.
#[derive(Debug, utoipa::IntoParams)]
#[into_params(parameter_in = Query)]
pub(crate) struct OnPlan {
    flow_run_id: Uuid,
    /// The plan that was looked at: a 412 if the run's is another.
    #[param(required = false, value_type = String)]
    plan_hash: Option<Hash>,
}

impl QueryParameters for OnPlan {
    fn read(pairs: &mut Pairs) -> Option<OnPlan> {
        let (run, hash) = (pairs.id("flow_run_id"), pairs.hash("plan_hash"));
        Some(OnPlan {
            flow_run_id: run?,
            plan_hash: hash?,
        })
    }
}

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
/// What is approved is the run's plan. Approving again what you approved changes nothing.
#[utoipa::path(
    put,
    path = "/flow_runs/approve",
    tag = "Flow runs",
    params(OnPlan),
    responses(
        (status = 200, body = RunView),
        (status = 404, description = "Not found"),
        (status = 409, description = "Somebody else decided it, or the code of the plan has changed"),
        (status = 412, description = "The plan has another hash")
    )
)]
pub(crate) async fn approve(
    State(app): State<AppState>,
    caller: Caller,
    Query(on): Query<OnPlan>,
) -> Result<Json<RunView>, ApiError> {
    let run = RunId(on.flow_run_id);
    let row = find(&app, &caller, run).await?;
    let decision = Decision::Approve(Say::of_run(caller.actor(), on.plan_hash));
    let pending = row.status == RunStatus::Pending.as_str();
    let code_current = !pending || code_is_current(&app, run).await?;
    match decide(&app, &caller, run, decision, code_current).await? {
        Some(phase) if phase != Phase::Waiting => Ok(Json(RunView::approved(row))),
        _ => Ok(Json(one(&app, &caller, run).await?)),
    }
}

/// Reject a flow run
///
/// It is cancelled and never starts.
#[utoipa::path(
    put,
    path = "/flow_runs/reject",
    tag = "Flow runs",
    params(OnPlan),
    responses(
        (status = 200, body = RunView),
        (status = 404, description = "Not found"),
        (status = 409, description = "Somebody else decided it"),
        (status = 412, description = "The plan has another hash")
    )
)]
pub(crate) async fn reject(
    State(app): State<AppState>,
    caller: Caller,
    Query(on): Query<OnPlan>,
) -> Result<Json<RunView>, ApiError> {
    let decision = Decision::Reject(Say::of_run(caller.actor(), on.plan_hash));
    decided(&app, &caller, on.flow_run_id, decision).await
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
    decided(&app, &caller, on.flow_run_id, decision).await
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
    decided(&app, &caller, on.flow_run_id, decision).await
}

/// In an organization nobody approves their own run; whoever runs a server alone may.
pub(super) fn not_ones_own(caller: &Caller, triggered_by: &str) -> Result<(), ApiError> {
    if !caller.local && caller.is(triggered_by) {
        return Err(ApiError::Forbidden(
            "You cannot approve your own run".to_owned(),
        ));
    }
    Ok(())
}

async fn decided(
    app: &AppState,
    caller: &Caller,
    run: Uuid,
    decision: Decision,
) -> Result<Json<RunView>, ApiError> {
    let run = RunId(run);
    decide(app, caller, run, decision, true).await?;
    Ok(Json(one(app, caller, run).await?))
}

/// Carries a decision out. Answers in which phase it left the run; none: it is over, or it was decided
/// so before.
async fn decide(
    app: &AppState,
    caller: &Caller,
    run: RunId,
    decision: Decision,
    code_current: bool,
) -> Result<Option<Phase>, ApiError> {
    let deciding = Deciding {
        run,
        organization: caller.organization,
        decision,
        code_current,
    };
    match app.store().decide(&deciding).await? {
        Decided::Done { live, outbox, poke } => {
            app.announce(outbox, poke.map(|worker| (worker, run)));
            Ok(live.map(|live| live.phase))
        }
        Decided::AlreadySo | Decided::Refused(Refused::AlreadySo) => Ok(None),
        Decided::NotFound => Err(ApiError::NotFound(THING)),
        Decided::Refused(Refused::StalePlan) => Err(ApiError::StalePlan),
        Decided::Refused(Refused::Denied(denied)) => {
            Err(ApiError::Forbidden(sentence(&denied.to_string())))
        }
        Decided::Refused(refused) => Err(ApiError::Conflict(sentence(&refused.to_string()))),
    }
}

pub(super) async fn find(
    app: &AppState,
    caller: &Caller,
    run: RunId,
) -> Result<flow_run::Model, ApiError> {
    let tenant = queries::of(app.db().reader(), caller.organization);
    tenant.flow_run(run).await?.ok_or(ApiError::NotFound(THING))
}

/// Whether every task of the plan still has, in the catalogue, the code it was planned with.
async fn code_is_current(app: &AppState, run: RunId) -> Result<bool, ApiError> {
    let plan = app.store().plan(run).await?;
    let planned: HashMap<Uuid, &str> = plan
        .graph
        .body()
        .operations
        .iter()
        .map(|operation| (operation.definition, operation.code_digest.as_str()))
        .collect();
    let ids = planned.keys().map(|id| TaskDefinitionId(*id));
    let known = catalogue::digests_of(app.db().reader(), ids).await?;
    let current = |(id, digest): (&Uuid, &&str)| known.get(id).is_some_and(|now| now == digest);
    Ok(planned.iter().all(current))
}

/// With a capital letter: what people read.
fn sentence(text: &str) -> String {
    let mut letters = text.chars();
    match letters.next() {
        Some(first) => first.to_uppercase().chain(letters).collect(),
        None => String::new(),
    }
}
