//! A client of the API that keeps a history: of each call it knows whether it was done, refused, or neither.

use std::time::{Duration, Instant};

use anyhow::{Context, bail};
use reqwest::Method;
use serde_json::{Value, json};
use uuid::Uuid;

/// How a call ended.
#[derive(Clone, Debug)]
pub enum Call {
    Done(Value),
    Refused(u16, Value),
    /// No answer: it may have been done.
    Unknown(String),
}

/// Somebody who calls the API.
#[derive(Clone, Debug)]
pub struct Client {
    pub url: String,
    pub token: String,
    http: reqwest::Client,
}

impl Client {
    /// Calls the server at `url`.
    pub fn new(url: &str, token: &str) -> anyhow::Result<Client> {
        Ok(Client {
            url: url.to_owned(),
            token: token.to_owned(),
            http: reqwest::Client::builder()
                .timeout(Duration::from_secs(30))
                .build()?,
        })
    }

    /// One call, once.
    pub async fn call(
        &self,
        method: Method,
        path: &str,
        body: Option<&Value>,
        key: Option<&str>,
    ) -> Call {
        let url = format!("{}/api/v1{path}", self.url);
        let mut request = self.http.request(method, url).bearer_auth(&self.token);
        if let Some(body) = body {
            request = request.json(body);
        }
        if let Some(key) = key {
            request = request.header("Idempotency-Key", key);
        }
        let response = match request.send().await {
            Ok(response) => response,
            Err(error) => return Call::Unknown(error.to_string()),
        };
        let status = response.status();
        match response.json().await {
            Ok(answer) if status.is_success() => Call::Done(answer),
            Ok(answer) => Call::Refused(status.as_u16(), answer),
            Err(error) if status.is_success() => Call::Unknown(error.to_string()),
            Err(_) => Call::Refused(status.as_u16(), Value::Null),
        }
    }

    /// Again with the same key until it is known what became of it; how often it was asked.
    pub async fn insist(
        &self,
        method: Method,
        path: &str,
        body: Option<&Value>,
    ) -> anyhow::Result<(Value, u32)> {
        let key = (method == Method::POST).then(|| Uuid::new_v4().to_string());
        let deadline = Instant::now() + Duration::from_secs(120);
        let mut tries = 0;
        loop {
            tries += 1;
            let call = self.call(method.clone(), path, body, key.as_deref()).await;
            match call {
                Call::Done(answer) => return Ok((answer, tries)),
                Call::Refused(429 | 503, _) | Call::Unknown(_) if Instant::now() < deadline => {}
                Call::Refused(status, why) => bail!("{method} {path}: {status} {why}"),
                Call::Unknown(why) => bail!("{method} {path}: {why}"),
            }
            tokio::time::sleep(Duration::from_millis(25)).await;
        }
    }

    /// The ids of task definitions by method.
    pub async fn definition(&self, method: &str) -> anyhow::Result<Value> {
        let (all, _) = self
            .insist(Method::GET, "/task_definitions/all?limit=1000", None)
            .await?;
        let found = all.as_array().and_then(|all| {
            let name = all.iter().find(|one| one["python_method_name"] == method)?;
            Some(name["id"].clone())
        });
        found.with_context(|| format!("no task definition {method}"))
    }

    /// Makes a flow and a request for it.
    pub async fn flow(&self, shape: &Shape) -> anyhow::Result<Flow> {
        let mut operations = Vec::new();
        for (index, operation) in shape.operations.iter().enumerate() {
            let mut body = json!({
                "name": format!("step {index}"),
                "task_definition": self.definition(operation.method).await?,
                "index": index,
                "arguments": operation.arguments,
            });
            if let Some(retry) = &operation.retry {
                body["retry"] = retry.clone();
            }
            operations.push(body);
        }
        let dependencies: Vec<Value> = shape
            .edges
            .iter()
            .map(|(from, to)| json!({ "source_task_operation": from, "target_task_operation": to }))
            .collect();
        let body = json!({
            "name": "chaos",
            "task_operations": operations,
            "dependencies": dependencies,
            "on_failure": if shape.goes_on { "continue" } else { "stop" },
        });
        let (flow, _) = self.insist(Method::POST, "/flows/", Some(&body)).await?;
        let body =
            json!({ "request_instructions": "Run it whatever happens.", "flow": flow["id"] });
        let (request, _) = self
            .insist(Method::POST, "/flow_requests/", Some(&body))
            .await?;
        Ok(Flow {
            id: flow["id"].clone(),
            request: request["id"].clone(),
        })
    }

    /// A run of `flow`, to be approved; or approved at once.
    pub async fn run(&self, flow: &Flow, approved: bool) -> anyhow::Result<Uuid> {
        let mut body = json!({ "flow": flow.id, "flow_request": flow.request });
        if approved {
            body["approval_status"] = "approved".into();
        }
        let (run, _) = self
            .insist(Method::POST, "/flow_runs/", Some(&body))
            .await?;
        Ok(run["id"].as_str().context("a run without an id")?.parse()?)
    }

    /// Asks for a run once, to see how that is answered.
    pub async fn run_once(&self, flow: &Flow) -> Call {
        let body = json!({ "flow": flow.id, "flow_request": flow.request });
        self.call(Method::POST, "/flow_runs/", Some(&body), None)
            .await
    }

    /// Approves until it is known.
    pub async fn approve(&self, run: Uuid) -> anyhow::Result<u32> {
        let path = format!("/flow_runs/approve?flow_run_id={run}");
        Ok(self.insist(Method::PUT, &path, None).await?.1)
    }

    /// The status of a page for operators.
    pub async fn page(&self, path: &str) -> anyhow::Result<(u16, String)> {
        let response = self.http.get(format!("{}{path}", self.url)).send().await?;
        Ok((response.status().as_u16(), response.text().await?))
    }
}

/// A flow on the server, and a request for it.
#[derive(Clone, Debug)]
pub struct Flow {
    pub id: Value,
    pub request: Value,
}

/// What a flow looks like.
#[derive(Clone, Debug, Default)]
pub struct Shape {
    pub operations: Vec<Operation>,
    pub edges: Vec<(i64, i64)>,
    /// Whether branches that do not depend on a failure go on.
    pub goes_on: bool,
}

/// A node of it.
#[derive(Clone, Debug)]
pub struct Operation {
    pub method: &'static str,
    pub arguments: Value,
    pub retry: Option<Value>,
}

impl Shape {
    /// Adds an operation that waits for `inputs`.
    pub fn then(mut self, method: &'static str, arguments: Value, inputs: &[i64]) -> Shape {
        let index = self.operations.len() as i64;
        self.operations.push(Operation {
            method,
            arguments,
            retry: None,
        });
        self.edges
            .extend(inputs.iter().map(|input| (*input, index)));
        self
    }

    /// Operations that tell the sink.
    pub fn effects(&self) -> Vec<i64> {
        let telling = |operation: &Operation| matches!(operation.method, "put" | "kill_worker");
        (0..)
            .zip(&self.operations)
            .filter(|(_, operation)| telling(operation))
            .map(|(index, _)| index)
            .collect()
    }
}
