//! A server in process: router, database, tokens, and what a client sees.

mod stack;

use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use axum::body::{Body, to_bytes};
use axum::http::{HeaderMap, Method, Request, StatusCode};
use neena_api::auth::local::{self, LocalToken};
use neena_api::auth::{Permission, Secret, TokenRules};
use neena_api::{ApiConfig, AppState, Connections, Hosting, Limits, Metrics, Parts, Reach, router};
use neena_bus::Bus;
use neena_store::{Db, SqlStore};
use sea_orm::{ConnectionTrait, Statement};
use serde_json::{Value, json};
use tower::ServiceExt;
use uuid::Uuid;

pub use stack::{Ground, clustered};

pub const ISSUER: &str = "neena";

pub struct Api {
    pub router: Router,
    pub app: AppState,
    pub db: Db,
    pub secret: Secret,
    reach: Reach,
    /// Messages handed over after their commit: nobody publishes them here.
    _messages: tokio::sync::mpsc::Receiver<neena_store::Message>,
    ground: Arc<Ground>,
}

/// What differs from one server to another.
pub struct Setup {
    pub hosting: Option<Arc<dyn Hosting>>,
    pub bus: Arc<dyn Bus>,
    pub secret: Secret,
    pub limits: Limits,
    pub reach: Reach,
    pub pool: neena_store::Connections,
}

impl Default for Setup {
    fn default() -> Setup {
        Setup {
            hosting: None,
            bus: stack::bus(),
            secret: Secret::random(),
            limits: Limits::default(),
            reach: Reach::default(),
            pool: neena_store::Connections::default(),
        }
    }
}

/// What a client sees of an answer.
#[derive(Debug)]
pub struct Answer {
    pub status: StatusCode,
    pub headers: HeaderMap,
    pub body: Value,
    pub text: String,
}

impl Api {
    pub async fn start() -> Api {
        Api::start_with(Setup::default()).await
    }

    pub async fn start_with(setup: Setup) -> Api {
        let ground = Arc::new(Ground::fresh().await);
        let db = ground.open_with(&setup.pool).await;
        Api::over(ground, db, setup)
    }

    /// Another process of the same installation. SQLite has but one, so there it shares the handle.
    pub async fn another(&self) -> Api {
        let db = match self.ground.url() {
            Some(_) => self.ground.open().await,
            None => self.db.clone(),
        };
        let setup = Setup {
            secret: self.secret.clone(),
            reach: self.reach.clone(),
            ..Setup::default()
        };
        Api::over(Arc::clone(&self.ground), db, setup)
    }

    fn over(ground: Arc<Ground>, db: Db, setup: Setup) -> Api {
        let Setup {
            hosting,
            bus,
            secret,
            limits,
            reach,
            ..
        } = setup;
        let store = Arc::new(SqlStore::new(db.clone()));
        let (outlet, messages) = neena_store::outlet();
        let app = AppState::new(Parts {
            db: db.clone(),
            store,
            outlet,
            bus,
            config: ApiConfig {
                tokens: TokenRules {
                    secret: secret.clone(),
                    issuer: ISSUER.to_owned(),
                    audience: ISSUER.to_owned(),
                },
                connections: Connections {
                    header_timeout: Duration::from_secs(1),
                    ..Connections::default()
                },
                limits,
                queue_prefix: "neena".to_owned(),
                reach: reach.clone(),
            },
            hosting,
            metrics: Some(Metrics::new(|| "neena_http_requests_total 1\n".to_owned())),
        });
        Api {
            router: router(app.clone()),
            app,
            db,
            secret,
            reach,
            _messages: messages,
            ground,
        }
    }

    /// A token of the local organization with every permission.
    pub fn token(&self) -> String {
        self.token_of("ada@example.com", None, &Permission::ALL)
    }

    pub fn token_of(&self, email: &str, organization: Option<&str>, may: &[Permission]) -> String {
        let token = LocalToken {
            email,
            permissions: Some(may),
            organization,
            ttl: Duration::from_secs(600),
            issuer: ISSUER,
            audience: ISSUER,
        };
        local::sign(&self.secret, &token).unwrap()
    }

    pub async fn send(&self, request: Request<Body>) -> Answer {
        let response = self.router.clone().oneshot(request).await.unwrap();
        let (parts, body) = response.into_parts();
        let bytes = to_bytes(body, usize::MAX).await.unwrap();
        let text = String::from_utf8_lossy(&bytes).into_owned();
        Answer {
            status: parts.status,
            headers: parts.headers,
            body: serde_json::from_slice(&bytes).unwrap_or(Value::Null),
            text,
        }
    }

    /// A call with a token and, where given, a JSON body.
    pub async fn call(&self, method: &str, path: &str, token: &str, body: Option<Value>) -> Answer {
        let body = body.map(|body| body.to_string());
        self.send(request(method, path, token, body)).await
    }

    pub async fn get(&self, path: &str) -> Answer {
        self.call("GET", path, &self.token(), None).await
    }

    pub async fn post(&self, path: &str, body: Value) -> Answer {
        self.call("POST", path, &self.token(), Some(body)).await
    }

    pub async fn put(&self, path: &str, body: Value) -> Answer {
        self.call("PUT", path, &self.token(), Some(body)).await
    }

    /// Rows of everything a request can store, but for the users that tokens make.
    pub async fn rows(&self) -> Vec<(&'static str, i64)> {
        let mut counts = Vec::new();
        for table in [
            "integrations",
            "task_definitions",
            "flows",
            "flow_versions",
            "flow_requests",
            "flow_runs",
            "live_runs",
            "plan_graphs",
            "run_plans",
            "approvals",
            "flow_results",
            "outbox",
            "idempotency_keys",
        ] {
            counts.push((
                table,
                self.count(&format!("SELECT count(*) FROM {table}")).await,
            ));
        }
        counts
    }

    pub async fn count(&self, sql: &str) -> i64 {
        let reader = self.db.reader();
        let statement = Statement::from_string(reader.get_database_backend(), sql);
        let row = reader.query_one_raw(statement).await.unwrap().unwrap();
        row.try_get_by_index(0).unwrap()
    }

    pub async fn execute(&self, sql: String) {
        let work = self.db.unit(move |tx| {
            Box::pin(async move {
                tx.execute_unprepared(&sql).await?;
                Ok::<_, neena_store::StoreError>(())
            })
        });
        work.await.unwrap();
    }

    pub async fn flow(&self) -> Uuid {
        self.flow_of(&self.token()).await
    }

    /// A flow of three built-in tasks, the last of which joins the others.
    pub async fn flow_of(&self, token: &str) -> Uuid {
        let answer = self
            .call(
                "POST",
                "/api/v1/flows/",
                token,
                Some(self.flow_body().await),
            )
            .await;
        answer.expect(200).id()
    }

    pub async fn flow_body(&self) -> Value {
        let echo = self.definition("core.echo").await;
        json!({
            "name": "Sample Flow",
            "task_operations": [
                {"name": "Join", "task_definition": echo, "index": 7, "arguments":
                    {"both": "{{ tasks.left.result.x }} and {{ tasks.right.result.x }}"}},
                {"name": "Left", "task_definition": echo, "index": 1, "arguments": {"x": 1}},
                {"name": "Right", "task_definition": echo, "index": 2, "arguments": {"x": 2}},
            ],
            "dependencies": [
                {"source_task_operation": 1, "target_task_operation": 7},
                {"source_task_operation": 2, "target_task_operation": 7},
            ],
        })
    }

    pub async fn flow_request(&self) -> Uuid {
        self.flow_request_of(&self.token()).await
    }

    pub async fn flow_request_of(&self, token: &str) -> Uuid {
        let body = json!({"request_instructions": "Process this request."});
        self.call("POST", "/api/v1/flow_requests/", token, Some(body))
            .await
            .expect(200)
            .id()
    }

    pub async fn run(&self) -> Uuid {
        self.run_of(&self.token()).await
    }

    /// A run that waits for approval.
    pub async fn run_of(&self, token: &str) -> Uuid {
        let flow = self.flow_of(token).await;
        let request = self.flow_request_of(token).await;
        let body = json!({"flow": flow, "flow_request": request});
        self.call("POST", "/api/v1/flow_runs/", token, Some(body))
            .await
            .expect(200)
            .id()
    }

    /// The id of a task definition by its method.
    pub async fn definition(&self, method: &str) -> Uuid {
        let all = self.get("/api/v1/task_definitions/all?limit=1000").await;
        let found = all
            .body
            .as_array()
            .unwrap()
            .iter()
            .find(|row| row["python_method_name"] == method);
        found.unwrap()["id"].as_str().unwrap().parse().unwrap()
    }
}

impl Answer {
    #[track_caller]
    pub fn expect(self, status: u16) -> Answer {
        assert_eq!(self.status.as_u16(), status, "{}", self.text);
        self
    }

    pub fn id(&self) -> Uuid {
        self.body["id"].as_str().unwrap().parse().unwrap()
    }

    /// `loc` and `type` of every fault of a 422, sorted.
    #[track_caller]
    pub fn faults(&self) -> Vec<(String, String)> {
        assert_eq!(self.status.as_u16(), 422, "{}", self.text);
        let mut faults: Vec<_> = self.body["detail"]
            .as_array()
            .unwrap()
            .iter()
            .map(|fault| {
                assert!(!fault["msg"].as_str().unwrap().is_empty());
                let steps = fault["loc"].as_array().unwrap().iter();
                let steps = steps.map(|step| step.as_str().map_or(step.to_string(), str::to_owned));
                (
                    steps.collect::<Vec<_>>().join("."),
                    fault["type"].as_str().unwrap().to_owned(),
                )
            })
            .collect();
        faults.sort();
        faults
    }

    /// The one fault of a 422, as `loc: type`.
    #[track_caller]
    pub fn fault(&self) -> String {
        let faults = self.faults();
        assert_eq!(faults.len(), 1, "{}", self.text);
        format!("{}: {}", faults[0].0, faults[0].1)
    }

    /// The sentence of an error that is none of the body.
    #[track_caller]
    pub fn detail(&self) -> &str {
        self.body["detail"]
            .as_str()
            .unwrap_or_else(|| panic!("no detail: {}", self.text))
    }
}

pub fn request(method: &str, path: &str, token: &str, body: Option<String>) -> Request<Body> {
    let mut request = Request::builder()
        .method(Method::from_bytes(method.as_bytes()).unwrap())
        .uri(path)
        .header("authorization", format!("Bearer {token}"));
    if body.is_some() {
        request = request.header("content-type", "application/json");
    }
    request
        .body(body.map_or_else(Body::empty, Body::from))
        .unwrap()
}

/// An id as SQL has it.
pub fn literal(id: Uuid) -> String {
    match clustered() {
        true => format!("'{id}'::uuid"),
        false => format!("x'{}'", id.simple()),
    }
}

/// Faults as [`Answer::faults`] gives them.
pub fn faults<const N: usize>(expected: [(&str, &str); N]) -> Vec<(String, String)> {
    let mut faults = expected
        .map(|(loc, kind)| (loc.to_owned(), kind.to_owned()))
        .to_vec();
    faults.sort();
    faults
}
