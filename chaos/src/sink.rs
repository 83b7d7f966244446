//! The outside world: logs each key it is told, and when.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::{SystemTime, UNIX_EPOCH};

use anyhow::Context;
use axum::Router;
use axum::extract::State;
use axum::http::StatusCode;
use axum::routing::post;
use parking_lot::Mutex;
use uuid::Uuid;

/// Effects by run and operation: when each happened, in microseconds since 1970.
pub type Effects = HashMap<(Uuid, i64), Vec<i64>>;

/// The sink.
#[derive(Debug)]
pub struct Sink {
    pub url: String,
    effects: Arc<Mutex<Effects>>,
    task: tokio::task::JoinHandle<()>,
}

impl Sink {
    /// Listens on a free port.
    pub async fn start() -> anyhow::Result<Sink> {
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await?;
        let url = format!("http://{}/", listener.local_addr()?);
        let effects = Arc::new(Mutex::new(Effects::new()));
        let app = Router::new()
            .route("/", post(put))
            .with_state(effects.clone());
        let task = tokio::spawn(async move {
            if let Err(error) = axum::serve(listener, app).await {
                eprintln!("the sink ended: {error}");
            }
        });
        Ok(Sink { url, effects, task })
    }

    /// What happened so far.
    pub fn effects(&self) -> Effects {
        self.effects.lock().clone()
    }
}

impl Drop for Sink {
    fn drop(&mut self) {
        self.task.abort();
    }
}

async fn put(State(effects): State<Arc<Mutex<Effects>>>, body: String) -> StatusCode {
    match key(&body) {
        Ok(key) => {
            effects.lock().entry(key).or_default().push(now());
            StatusCode::OK
        }
        Err(_) => StatusCode::BAD_REQUEST,
    }
}

fn key(text: &str) -> anyhow::Result<(Uuid, i64)> {
    let (run, index) = text.split_once(':').context("no key")?;
    Ok((run.parse()?, index.parse()?))
}

/// Microseconds since 1970.
pub fn now() -> i64 {
    let since = SystemTime::now()
        .duration_since(UNIX_EPOCH)
        .unwrap_or_default();
    i64::try_from(since.as_micros()).unwrap_or(i64::MAX)
}
