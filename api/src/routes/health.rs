//! What operators and load balancers ask.

use axum::Json;
use axum::extract::State;
use serde::Serialize;
use utoipa::ToSchema;

use crate::error::ApiError;
use crate::state::AppState;

/// How the server is.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct Health {
    status: &'static str,
}

/// Whether the process answers at all.
#[utoipa::path(get, path = "/healthz", tag = "Operations", responses((status = 200, body = Health)))]
pub(crate) async fn alive() -> Json<Health> {
    Json(Health { status: "ok" })
}

/// Whether requests can be served: the database answers.
#[utoipa::path(
    get,
    path = "/readyz",
    tag = "Operations",
    responses((status = 200, body = Health), (status = 503, description = "The database does not answer"))
)]
pub(crate) async fn ready(State(app): State<AppState>) -> Result<Json<Health>, ApiError> {
    app.db().reader().ping().await?;
    Ok(Json(Health { status: "ready" }))
}
