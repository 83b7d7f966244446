//! What operators, load balancers and Prometheus ask.

use axum::Json;
use axum::extract::State;
use axum::http::StatusCode;
use axum::http::header::CONTENT_TYPE;
use axum::response::{IntoResponse, Response};
use serde::Serialize;
use utoipa::ToSchema;

use crate::error::detail;
use crate::readiness::Readiness;
use crate::state::AppState;

/// How the server is.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct Health {
    /// `ok`
    status: &'static str,
}

/// Whether requests can be served.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct Ready {
    /// `ready`; `degraded`: requests are served, and something is amiss; `unready`.
    status: &'static str,
    /// What is amiss.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    reasons: Vec<&'static str>,
}

/// Whether the process answers at all.
#[utoipa::path(get, path = "/healthz", tag = "Operations", responses((status = 200, body = Health)))]
pub(crate) async fn alive() -> Json<Health> {
    Json(Health { status: "ok" })
}

/// Whether requests can be served: the database answers
///
/// What the database said is believed for a second. While only the broker is away requests are served as
/// ever, and runs start a little later: `degraded`.
#[utoipa::path(
    get,
    path = "/readyz",
    tag = "Operations",
    responses(
        (status = 200, description = "`ready` or `degraded`", body = Ready),
        (status = 503, description = "The database does not answer, or the process is stopping", body = Ready)
    )
)]
pub(crate) async fn ready(State(app): State<AppState>) -> Response {
    let (code, status, reasons) = match app.readiness().await {
        Readiness::Ready => (StatusCode::OK, "ready", Vec::new()),
        Readiness::Degraded(reason) => (StatusCode::OK, "degraded", vec![reason]),
        Readiness::Unready(reasons) => (StatusCode::SERVICE_UNAVAILABLE, "unready", reasons),
    };
    (code, Json(Ready { status, reasons })).into_response()
}

/// What was counted and measured in this process
///
/// In Prometheus' text format. Programs that cannot send a token ask on the address that is configured for
/// metrics alone.
#[utoipa::path(
    get,
    path = "/metrics",
    tag = "Operations",
    responses(
        (status = 200, content_type = "text/plain", body = String),
        (status = 404, description = "This process counts nothing")
    )
)]
pub(crate) async fn metrics(State(app): State<AppState>) -> Response {
    match app.metrics() {
        Some(metrics) => {
            let kind = "text/plain; version=0.0.4; charset=utf-8";
            ([(CONTENT_TYPE, kind)], metrics.render()).into_response()
        }
        None => detail(StatusCode::NOT_FOUND, "Not Found"),
    }
}
