//! Prints how many calls a second the API answers in process, with so many clients at once, and how many things a
//! second in calls about a thousand:
//! `cargo run --release --workspace --example requests_per_second -- 32`, on SQLite, or on the empty Postgres database
//! whose URL follows.

use std::sync::Arc;
use std::time::{Duration, Instant};

use axum::Router;
use axum::body::{Body, to_bytes};
use axum::http::Request;
use neena_api::auth::local::{LocalToken, sign};
use neena_api::auth::{Permission, Secret, TokenRules};
use neena_api::{ApiConfig, AppState, Connections, Limits, Parts, catalogue, router};
use neena_bus::InProcess;
use neena_store::{Db, Durability, SqlStore};
use serde_json::{Value, json};
use tower::ServiceExt;

const CALLS: usize = 4_000;

/// Things in one call.
const MANY: usize = 1_000;

type Failure = Box<dyn std::error::Error + Send + Sync>;

#[derive(Clone)]
struct Client {
    router: Router,
    bearer: String,
}

impl Client {
    async fn call(&self, method: &str, path: &str, body: Option<Value>) -> Result<Value, Failure> {
        let request = Request::builder()
            .method(method)
            .uri(path)
            .header("authorization", &self.bearer)
            .header("content-type", "application/json")
            .body(body.map_or_else(Body::empty, |body| Body::from(body.to_string())))?;
        let response = self.router.clone().oneshot(request).await?;
        let status = response.status();
        let bytes = to_bytes(response.into_body(), usize::MAX).await?;
        if !status.is_success() {
            return Err(format!(
                "{method} {path}: {status} {}",
                String::from_utf8_lossy(&bytes)
            )
            .into());
        }
        Ok(serde_json::from_slice(&bytes)?)
    }
}

#[tokio::main]
async fn main() -> Result<(), Failure> {
    let clients = std::env::args()
        .nth(1)
        .map_or(Ok(32), |text| text.parse())?;
    let dir = tempfile::TempDir::new()?;
    let db = match std::env::args().nth(2) {
        Some(url) => Db::postgres(&url).await?,
        None => Db::sqlite(&dir.path().join("neena.db"), Durability::Full).await?,
    };
    db.migrate().await?;
    catalogue::upsert_built_ins(&db).await?;
    let (outlet, mut messages) = neena_store::outlet();
    tokio::spawn(async move { while messages.recv().await.is_some() {} });
    let secret = Secret::random();
    let client = Client {
        bearer: format!("Bearer {}", token(&secret)?),
        router: router(AppState::new(Parts {
            db: db.clone(),
            store: Arc::new(SqlStore::new(db)),
            outlet,
            bus: Arc::new(InProcess::new()),
            config: ApiConfig {
                tokens: TokenRules {
                    secret,
                    issuer: "neena".into(),
                    audience: "neena".into(),
                },
                connections: Connections::default(),
                limits: Limits::default(),
                queue_prefix: "neena".into(),
                reach: neena_api::Reach::default(),
            },
            hosting: None,
            metrics: None,
        })),
    };
    let request = json!({"request_instructions": "Process this request."});
    let posted = Client::clone(&client);
    measure("POST flow_requests/", clients, move |_| {
        let (client, body) = (posted.clone(), request.clone());
        async move {
            client
                .call("POST", "/api/v1/flow_requests/", Some(body))
                .await
        }
    })
    .await?;
    let flow = ten_in_a_row(&client).await?;
    runs(&client, clients, &flow).await?;
    bulk(&client, &flow).await
}

/// Measures what many runs cost that are made and approved in calls about a thousand, one call after the other.
async fn bulk(client: &Client, flow: &Value) -> Result<(), Failure> {
    let request = json!({"request_instructions": "Process this request."});
    let many = |one: Value| json!(vec![one; MANY]);
    let requests = many(request.clone());
    let run = json!({"flow": flow, "flow_request": request});
    let approved = json!({"flow": flow, "flow_request": request, "approval_status": "approved"});
    let runs = many(run);
    thousands(client, "POST", "flow_requests/bulk", |_| requests.clone()).await?;
    let made = thousands(client, "POST", "flow_runs/bulk", |_| runs.clone()).await?;
    let about = |at: usize| {
        let all = made[at].as_array().into_iter().flatten();
        json!(
            all.map(|run| json!({"flow_run_id": run["id"]}))
                .collect::<Vec<_>>()
        )
    };
    thousands(client, "PUT", "flow_runs/approve/bulk", about).await?;
    let approved = many(approved);
    let what = "flow_runs/bulk with request and approval";
    timed(client, ("POST", "flow_runs/bulk", what), |_| {
        approved.clone()
    })
    .await?;
    Ok(())
}

async fn thousands(
    client: &Client,
    method: &str,
    path: &str,
    body: impl Fn(usize) -> Value,
) -> Result<Vec<Value>, Failure> {
    timed(client, (method, path, path), body).await
}

/// Makes the calls, one after the other, and prints how many things a second they were about.
async fn timed(
    client: &Client,
    (method, path, what): (&str, &str, &str),
    body: impl Fn(usize) -> Value,
) -> Result<Vec<Value>, Failure> {
    let bodies: Vec<Value> = (0..CALLS / MANY).map(body).collect();
    let started = Instant::now();
    let mut answers = Vec::new();
    for body in bodies {
        let path = format!("/api/v1/{path}");
        answers.push(client.call(method, &path, Some(body)).await?);
    }
    let took = started.elapsed();
    println!(
        "{method} {what} ({MANY} a call): {:.0}/s, {:?} a call",
        CALLS as f64 / took.as_secs_f64(),
        took / u32::try_from(answers.len().max(1))?,
    );
    Ok(answers)
}

/// A flow of ten tasks.
async fn ten_in_a_row(client: &Client) -> Result<Value, Failure> {
    let definitions = client
        .call("GET", "/api/v1/task_definitions/all", None)
        .await?;
    let echo = definitions
        .as_array()
        .and_then(|all| {
            all.iter()
                .find(|row| row["python_method_name"] == "core.echo")
        })
        .ok_or("core.echo is not there")?["id"]
        .clone();
    let operation = |index: usize| json!({"name": format!("t{index}"), "task_definition": echo, "index": index, "arguments": {}});
    let edge =
        |index: usize| json!({"source_task_operation": index, "target_task_operation": index + 1});
    let flow = json!({
        "name": "Ten in a row",
        "task_operations": (0..10).map(operation).collect::<Vec<_>>(),
        "dependencies": (0..9).map(edge).collect::<Vec<_>>(),
    });
    Ok(client.call("POST", "/api/v1/flows/", Some(flow)).await?["id"].clone())
}

/// Measures what a run costs to make, to approve and to list.
async fn runs(client: &Client, clients: usize, flow: &Value) -> Result<(), Failure> {
    let request = json!({"request_instructions": "Process this request."});
    let request = client
        .call("POST", "/api/v1/flow_requests/", Some(request))
        .await?["id"]
        .clone();
    let body = json!({"flow": flow, "flow_request": request});
    let poster = client.clone();
    let made = measure("POST flow_runs/ (10 tasks)", clients, move |_| {
        let (client, body) = (poster.clone(), body.clone());
        async move { client.call("POST", "/api/v1/flow_runs/", Some(body)).await }
    })
    .await?;
    let ids: Arc<Vec<String>> = Arc::new(
        made.iter()
            .filter_map(|run| run["id"].as_str().map(str::to_owned))
            .collect(),
    );
    let approver = client.clone();
    measure("PUT flow_runs/approve", clients, move |at| {
        let (client, ids) = (approver.clone(), Arc::clone(&ids));
        async move {
            let path = format!("/api/v1/flow_runs/approve?flow_run_id={}", ids[at]);
            client.call("PUT", &path, None).await
        }
    })
    .await?;
    let reader = client.clone();
    measure("GET flow_runs/preview/all (100)", clients, move |_| {
        let client = reader.clone();
        async move {
            client
                .call("GET", "/api/v1/flow_runs/preview/all", None)
                .await
        }
    })
    .await?;
    Ok(())
}

/// Makes the calls, so many at a time, and prints what they took; the answers in the order of the calls.
async fn measure<F, C>(what: &str, clients: usize, call: C) -> Result<Vec<Value>, Failure>
where
    C: Fn(usize) -> F + Clone + Send + 'static,
    F: Future<Output = Result<Value, Failure>> + Send,
{
    let started = Instant::now();
    let tasks: Vec<_> = (0..clients)
        .map(|client| {
            let call = call.clone();
            tokio::spawn(async move {
                let mut answers = Vec::new();
                for at in (client..CALLS).step_by(clients) {
                    let begun = Instant::now();
                    answers.push((at, call(at).await?, begun.elapsed()));
                }
                Ok::<_, Failure>(answers)
            })
        })
        .collect();
    let mut answers = Vec::with_capacity(CALLS);
    for task in tasks {
        answers.extend(task.await??);
    }
    let took = started.elapsed();
    let mut times: Vec<Duration> = answers.iter().map(|(_, _, time)| *time).collect();
    times.sort_unstable();
    println!(
        "{what}: {:.0}/s, p50 {:?}, p99 {:?}",
        CALLS as f64 / took.as_secs_f64(),
        times[CALLS / 2],
        times[CALLS * 99 / 100]
    );
    answers.sort_by_key(|(at, _, _)| *at);
    Ok(answers.into_iter().map(|(_, answer, _)| answer).collect())
}

fn token(secret: &Secret) -> Result<String, Failure> {
    let token = LocalToken {
        email: "ada@example.com",
        permissions: Some(&Permission::ALL),
        organization: None,
        ttl: Duration::from_secs(3_600),
        issuer: "neena",
        audience: "neena",
    };
    Ok(sign(secret, &token)?)
}
