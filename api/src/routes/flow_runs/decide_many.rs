//! Deciding about the plans of many runs in one call: each decision stands by itself, as if one call came after the
//! other.

use std::collections::HashMap;

use axum::Json;
use axum::extract::State;
use neena_engine::ids::RunId;
use neena_engine::run::{Decision, Phase, Say};
use neena_store::queries::{self, TaskResults};
use serde::{Deserialize, Serialize};
use serde_json::Value;
use utoipa::ToSchema;
use uuid::Uuid;

use super::view::RunView;
use super::{LISTED_RESULT, view};
use crate::auth::Caller;
use crate::deciding::{Outcome, decide_all};
use crate::error::ApiError;
use crate::extract::{Body, MOST_BYTES, Many, at, payload};
use crate::state::AppState;

/// A decision about the plan of a run.
#[derive(Debug, Deserialize, ToSchema)]
#[schema(as = RunDecision)]
pub(crate) struct OnRun {
    flow_run_id: Uuid,
    /// The plan that was looked at: a 412 if the run's is another.
    #[schema(pattern = "^[0-9a-fA-F]{64}$")]
    plan_hash: Option<String>,
    /// The stage that is spoken for: a decision never counts in another.
    #[schema(max_length = 256, pattern = r"^[^\x00]*$")]
    stage: Option<String>,
    /// Why, in words.
    #[schema(max_length = 2000, pattern = r"^[^\x00]*$")]
    comment: Option<String>,
}

/// Decisions about plans.
type Decisions = Many<OnRun>;

payload!(Decisions, MOST_BYTES, |_| Vec::new());

/// What became of a decision.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = RunDecided)]
pub(crate) struct DecidedView {
    flow_run_id: Uuid,
    /// What a call about this run alone would have been answered with: 200, 403, 404, 409, 412 or 422.
    status: u16,
    /// Unless it is 200: why, as the `detail` of that answer.
    #[serde(skip_serializing_if = "Option::is_none")]
    detail: Option<Value>,
    /// If it is 200: the run, as lists have it.
    #[serde(skip_serializing_if = "Option::is_none")]
    flow_run: Option<RunView>,
}

/// Approve flow runs
///
/// The plans of up to 1,000 runs, each as by itself and in the order given: one that is refused leaves the others alone.
#[utoipa::path(
    put,
    path = "/flow_runs/approve/bulk",
    tag = "Flow runs",
    request_body = Decisions,
    responses((status = 200, body = Vec<DecidedView>))
)]
pub(crate) async fn approve_many(
    State(app): State<AppState>,
    caller: Caller,
    Body(Many(all)): Body<Many<OnRun>>,
) -> Result<Json<Vec<DecidedView>>, ApiError> {
    decided(&app, &caller, all, Decision::Approve).await
}

/// Reject flow runs
///
/// The plans of up to 1,000 runs, each as by itself and in the order given: one that is refused leaves the others alone.
#[utoipa::path(
    put,
    path = "/flow_runs/reject/bulk",
    tag = "Flow runs",
    request_body = Decisions,
    responses((status = 200, body = Vec<DecidedView>))
)]
pub(crate) async fn reject_many(
    State(app): State<AppState>,
    caller: Caller,
    Body(Many(all)): Body<Many<OnRun>>,
) -> Result<Json<Vec<DecidedView>>, ApiError> {
    decided(&app, &caller, all, Decision::Reject).await
}

impl OnRun {
    fn say(self, caller: &Caller) -> Say {
        Say {
            stage: self.stage,
            comment: self.comment,
            ..Say::of_run(
                caller.actor(),
                self.plan_hash.and_then(|hash| hash.parse().ok()),
            )
        }
    }
}

async fn decided(
    app: &AppState,
    caller: &Caller,
    all: Vec<OnRun>,
    decision: impl Fn(Say) -> Decision,
) -> Result<Json<Vec<DecidedView>>, ApiError> {
    let ids: Vec<Uuid> = all.iter().map(|one| one.flow_run_id).collect();
    let one = |one: OnRun| (RunId(one.flow_run_id), decision(one.say(caller)));
    let decisions = all.into_iter().map(one).collect();
    let outcomes = decide_all(app, caller.organization, decisions).await?;
    let mut views = Vec::with_capacity(ids.len());
    let mut to_read = Vec::new();
    for (item, (id, outcome)) in ids.into_iter().zip(outcomes).enumerate() {
        views.push(match outcome {
            Ok(Outcome {
                phase: Some(Phase::Ready),
                before: Some(row),
            }) => DecidedView::done(id, Some(RunView::approved(row))),
            Ok(_) => {
                to_read.push(id);
                DecidedView::done(id, None)
            }
            Err(error) => DecidedView::refused(id, item, error)?,
        });
    }
    read(app, caller, to_read, &mut views).await?;
    Ok(Json(views))
}

/// Fills in the runs that are to be read again.
async fn read(
    app: &AppState,
    caller: &Caller,
    mut ids: Vec<Uuid>,
    views: &mut [DecidedView],
) -> Result<(), ApiError> {
    ids.sort_unstable();
    ids.dedup();
    let tenant = queries::of(app.db().reader(), caller.organization);
    let page = tenant
        .flow_runs(&ids, TaskResults::UpTo(LISTED_RESULT))
        .await?;
    let read = view::page(app, &tenant, page).await?;
    let read: HashMap<Uuid, RunView> = read.into_iter().map(|run| (run.id(), run)).collect();
    for view in views {
        if view.status == 200 && view.flow_run.is_none() {
            view.flow_run = read.get(&view.flow_run_id).cloned();
        }
    }
    Ok(())
}

impl DecidedView {
    fn done(flow_run_id: Uuid, flow_run: Option<RunView>) -> DecidedView {
        DecidedView {
            flow_run_id,
            status: 200,
            detail: None,
            flow_run,
        }
    }

    /// Of the one at place `item`; an error that says nothing about this run alone ends the call.
    fn refused(flow_run_id: Uuid, item: usize, error: ApiError) -> Result<DecidedView, ApiError> {
        let error = match error {
            ApiError::Invalid(faults) => ApiError::Invalid(at(item, faults)),
            error => error,
        };
        let (status, detail) = error.refusal()?;
        Ok(DecidedView {
            flow_run_id,
            status: status.as_u16(),
            detail: Some(detail),
            flow_run: None,
        })
    }
}
