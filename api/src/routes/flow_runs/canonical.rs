//! The plan of a run as it is stored: what was hashed, byte for byte, so that anybody can hash it anew.

use axum::Json;
use axum::extract::State;
use neena_engine::ids::RunId;
use neena_store::entities::run_plan;
use sea_orm::EntityTrait;
use serde::Serialize;
use utoipa::ToSchema;

use super::THING;
use super::decide::{OnRun, find};
use crate::auth::Caller;
use crate::error::ApiError;
use crate::extract::Query;
use crate::state::AppState;

/// A plan as it is stored.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = CanonicalPlan)]
pub(crate) struct CanonicalView {
    /// SHA-256 of `head`.
    plan_hash: String,
    /// Canonical JSON text; its `graph` is the SHA-256 of the text below.
    head: String,
    /// Canonical JSON text.
    graph: String,
}

/// Get the plan of a flow run as it is stored
///
/// Two canonical JSON texts whose SHA-256 hashes are the plan hash and the hash of the graph the head names.
#[utoipa::path(
    get,
    path = "/flow_runs/plan/canonical",
    tag = "Flow runs",
    params(OnRun),
    responses((status = 200, body = CanonicalView), (status = 404, description = "Not found"))
)]
pub(crate) async fn canonical(
    State(app): State<AppState>,
    caller: Caller,
    Query(on): Query<OnRun>,
) -> Result<Json<CanonicalView>, ApiError> {
    let run = RunId(on.flow_run_id);
    let row = find(&app, &caller, run).await?;
    // Checks both hashes.
    let plan = app.store().plan(run).await?;
    let stored = run_plan::Entity::find_by_id((row.id, row.plan_hash))
        .one(app.db().reader())
        .await?
        .ok_or(ApiError::NotFound(THING))?;
    Ok(Json(CanonicalView {
        plan_hash: stored.hash,
        head: stored.body,
        graph: plan.graph.canonical_text().to_owned(),
    }))
}
