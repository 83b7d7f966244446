//! Approvals given beforehand: of one plan, or of a version of a flow within bounds, so many times or until a day.

pub(crate) mod covering;

mod make;
mod vote;

use axum::Json;
use axum::extract::State;
use axum::response::Response;
use chrono::{DateTime, Utc};
use futures_util::FutureExt;
use neena_store::entities::{approval, standing_approval};
use neena_store::queries::{self, NewEntry};
use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;
use utoipa::ToSchema;
use uuid::Uuid;

use super::parameters::{ById, Paging};
use crate::auth::Caller;
use crate::error::ApiError;
use crate::extract::{Post, Query, payload};
use crate::state::AppState;
use crate::view::{Time, raw};

const THING: &str = "Standing approval";

/// A standing approval to be asked for. It is for one plan, or for a version of a flow within bounds; it ends,
/// or it is for so many runs.
#[derive(Debug, Deserialize, ToSchema)]
pub(crate) struct NewStanding {
    flow: Uuid,
    /// The plan of a run of the flow, which may run again.
    #[schema(pattern = "^[0-9a-f]{64}$")]
    plan_hash: Option<String>,
    /// The flow's present version; with `bounds`.
    #[schema(minimum = 1, maximum = 2147483647)]
    flow_version: Option<u32>,
    /// A JSON Schema (an object) that the merged metadata of a request has to fit.
    #[schema(value_type = Option<Object>)]
    bounds: Option<serde_json::Value>,
    /// Most runs that start by it.
    #[schema(minimum = 1, maximum = 1000000000)]
    max_runs: Option<i64>,
    /// Until when runs start by it.
    ends: Option<DateTime<Utc>>,
    #[schema(min_length = 1, max_length = 4096, pattern = r"^[^\x00]*$")]
    comment: Option<String>,
}

payload!(NewStanding);

/// A standing approval.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct StandingView {
    id: Uuid,
    flow: Uuid,
    flow_version: i32,
    /// null: any plan within the bounds.
    plan_hash: Option<String>,
    #[schema(value_type = Option<Object>)]
    bounds: Option<Box<RawValue>>,
    /// Hash of the operations it is for and the code behind them: where either changes, runs are asked about.
    graph: String,
    /// `open` while it collects approvals, `active`, `used_up`, `ended` or `revoked`.
    state: &'static str,
    max_runs: Option<i64>,
    used: i64,
    /// null: no limit.
    uses_left: Option<i64>,
    ends: Option<Time>,
    comment: Option<String>,
    created_time: Time,
    created_by_email: String,
    active_time: Option<Time>,
    revoked_time: Option<Time>,
    revoked_by_email: Option<String>,
    approvals: Vec<StandingVoteView>,
}

/// A vote on a standing approval.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct StandingVoteView {
    stage: i32,
    email: String,
    stands_in_for: Option<String>,
    comment: Option<String>,
    time: Time,
}

impl StandingView {
    fn of(row: standing_approval::Model, votes: &[approval::Model], now: i64) -> StandingView {
        let own = votes.iter().filter(|vote| vote.run_id == row.id);
        let left = row.max_runs.map(|most| (most - row.used).max(0));
        let state = match row.state.as_str() {
            "revoked" => "revoked",
            _ if row.ends_at.is_some_and(|ends| ends <= now) => "ended",
            "active" if left == Some(0) => "used_up",
            "active" => "active",
            _ => "open",
        };
        StandingView {
            id: row.id,
            flow: row.flow_id,
            flow_version: row.flow_version,
            plan_hash: row.plan_hash,
            bounds: row.bounds.and_then(raw),
            graph: row.graph,
            state,
            max_runs: row.max_runs,
            used: row.used,
            uses_left: left,
            ends: row.ends_at.map(Time::of),
            comment: row.comment,
            created_time: Time::of(row.created_at),
            created_by_email: row.requester_email,
            active_time: row.active_at.map(Time::of),
            revoked_time: row.revoked_at.map(Time::of),
            revoked_by_email: row.revoked_by_email,
            approvals: own.map(StandingVoteView::of).collect(),
        }
    }
}

impl StandingVoteView {
    fn of(vote: &approval::Model) -> StandingVoteView {
        StandingVoteView {
            stage: vote.stage,
            email: vote.approver_email.clone(),
            stands_in_for: vote.stands_in_for.clone(),
            comment: vote.comment.clone(),
            time: Time::of(vote.at),
        }
    }
}

/// Ask for a standing approval
///
/// Only where the policy allows it. It takes the same approvals as a run; once it has them, runs that it covers
/// start at once.
#[utoipa::path(
    post,
    path = "/standing_approvals/",
    tag = "Standing approvals",
    request_body = NewStanding,
    responses((status = 200, body = StandingView), (status = 409, description = "The policy does not allow it"))
)]
pub(crate) async fn create(
    State(app): State<AppState>,
    caller: Caller,
    Post { body, once }: Post<NewStanding>,
) -> Result<Response, ApiError> {
    let row = make::row(&app, &caller, body).await?;
    let made = once.run(app.db(), move |tx, now| {
        async move {
            let row = standing_approval::Model {
                created_at: now.0,
                ..row
            };
            queries::of(tx, caller.organization)
                .insert_standing(row.clone())
                .await?;
            Ok((StandingView::of(row, &[], now.0), ()))
        }
        .boxed()
    });
    Ok(made.await?.0)
}

/// List standing approvals
#[utoipa::path(
    get,
    path = "/standing_approvals/all",
    tag = "Standing approvals",
    params(Paging),
    responses((status = 200, body = Vec<StandingView>))
)]
pub(crate) async fn all(
    State(app): State<AppState>,
    caller: Caller,
    Query(paging): Query<Paging>,
) -> Result<Json<Vec<StandingView>>, ApiError> {
    let tenant = queries::of(app.db().reader(), caller.organization);
    let rows = tenant.standings(paging.window()).await?;
    let votes = tenant
        .standing_votes(&rows.iter().collect::<Vec<_>>())
        .await?;
    let now = app.db().now().await?.0;
    let view = |row| StandingView::of(row, &votes, now);
    Ok(Json(rows.into_iter().map(view).collect()))
}

/// Approve a standing approval
///
/// By the rules of its policy, as a run is approved. Approving again what you approved changes nothing.
#[utoipa::path(
    put,
    path = "/standing_approvals/approve",
    tag = "Standing approvals",
    params(vote::Approving),
    responses(
        (status = 200, body = StandingView),
        (status = 404, description = "Not found"),
        (status = 409, description = "It is not open")
    )
)]
pub(crate) async fn approve(
    State(app): State<AppState>,
    caller: Caller,
    Query(approving): Query<vote::Approving>,
) -> Result<Json<StandingView>, ApiError> {
    vote::approve(&app, caller, approving).await.map(Json)
}

/// Revoke a standing approval
///
/// No run starts by it any more; those that did go on.
#[utoipa::path(
    delete,
    path = "/standing_approvals/",
    tag = "Standing approvals",
    params(ById),
    responses((status = 200, body = StandingView), (status = 404, description = "Not found"))
)]
pub(crate) async fn revoke(
    State(app): State<AppState>,
    caller: Caller,
    Query(by): Query<ById>,
) -> Result<Json<StandingView>, ApiError> {
    let now = app.db().now().await?;
    let revoke = app.db().unit(move |tx| {
        async move {
            let tenant = queries::of(tx, caller.organization);
            if tenant.revoke_standing(by.id, &caller.email, now).await? {
                let result = format!("the standing approval {} is revoked", by.id);
                let entry = NewEntry {
                    what: "standing_revoke",
                    result: &result,
                    ..caller.entry()
                };
                tenant.append(entry, now).await?;
            }
            let row = tenant.standing(by.id).await?;
            let row = row.ok_or(ApiError::NotFound(THING))?;
            let votes = tenant.standing_votes(&[&row]).await?;
            Ok(StandingView::of(row, &votes, now.0))
        }
        .boxed()
    });
    revoke.await.map(Json)
}
