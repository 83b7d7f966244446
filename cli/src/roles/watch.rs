//! What is seen of a worker from outside: `/metrics`, `/healthz` and `/readyz` on an address of their own.

use std::sync::{Arc, OnceLock};
use std::time::Duration;

use axum::extract::State;
use axum::http::StatusCode;
use axum::routing::get;
use axum::{Json, Router};
use metrics_exporter_prometheus::PrometheusHandle;
use neena::Node;
use neena_bus::{Bus, Standing};
use neena_store::Store;
use serde_json::{Value, json};
use tokio::net::TcpListener;
use tokio_util::sync::CancellationToken;

/// How long the database may take to answer.
const PATIENCE: Duration = Duration::from_secs(2);

/// What a process stands on.
type Parts = (Arc<dyn Store>, Arc<dyn Bus>);

/// What is watched; what the process stands on is known once it has started.
#[derive(Clone)]
pub(super) struct Watched {
    metrics: PrometheusHandle,
    parts: Arc<OnceLock<Parts>>,
}

impl Watched {
    /// A process that has not started yet.
    pub fn new(metrics: PrometheusHandle) -> Watched {
        Watched {
            metrics,
            parts: Arc::default(),
        }
    }

    /// It has started.
    pub fn started(&self, node: &Node) {
        // There is only one start.
        let _ = self.parts.set((node.store.clone(), node.bus.clone()));
    }
}

/// Serves what is watched until `stop`.
pub(super) async fn serve(listener: TcpListener, watched: Watched, stop: CancellationToken) {
    let router = Router::new()
        .route("/metrics", get(metrics))
        .route("/healthz", get(alive))
        .route("/readyz", get(ready))
        .with_state(watched);
    let served = axum::serve(listener, router)
        .with_graceful_shutdown(stop.cancelled_owned())
        .await;
    if let Err(error) = served {
        tracing::warn!(%error, "the worker's metrics are not served any more");
    }
}

async fn metrics(State(watched): State<Watched>) -> String {
    watched.metrics.render()
}

async fn alive() -> Json<Value> {
    Json(json!({ "status": "ok" }))
}

async fn ready(State(watched): State<Watched>) -> (StatusCode, Json<Value>) {
    let unready = |reason: &str| {
        let answer = json!({ "status": "unready", "reason": reason });
        (StatusCode::SERVICE_UNAVAILABLE, Json(answer))
    };
    let Some((store, bus)) = watched.parts.get() else {
        return unready("it is starting");
    };
    match tokio::time::timeout(PATIENCE, store.now()).await {
        Ok(Ok(_)) => {}
        Ok(Err(_)) | Err(_) => return unready("the database does not answer"),
    }
    let answer = match bus.standing() {
        Standing::Up => json!({ "status": "ready" }),
        Standing::Blocked(why) => {
            json!({ "status": "degraded", "reason": format!("the broker takes nothing: {why}") })
        }
        Standing::Down(why) => {
            json!({ "status": "degraded", "reason": format!("the broker is away: {why}") })
        }
    };
    (StatusCode::OK, Json(answer))
}
