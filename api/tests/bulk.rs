//! Many things in one call: made all or none, decided each by itself.

mod deciding;
mod making;

use std::fmt::Write;

use neena_api::auth::Permission;
use serde_json::{Value, json};
use uuid::Uuid;

use crate::harness::{Answer, Api};

const REQUESTS: &str = "/api/v1/flow_requests/bulk";
const RUNS: &str = "/api/v1/flow_runs/bulk";
const APPROVE: &str = "/api/v1/flow_runs/approve/bulk";
const REJECT: &str = "/api/v1/flow_runs/reject/bulk";

/// An organization in which nobody approves their own run.
const ACME: &str = "acme";

fn of_acme(api: &Api, name: &str) -> String {
    let email = format!("{name}@example.com");
    api.token_of(&email, Some(ACME), &Permission::ALL)
}

fn sample() -> Value {
    json!({"request_instructions": "Process this request."})
}

/// A flow of one echo, posted with this approval.
async fn flow(api: &Api, token: &str, approval: Value) -> Uuid {
    let mut body = api.flow_body().await;
    body["approval"] = approval;
    let answer = api.call("POST", "/api/v1/flows/", token, Some(body)).await;
    answer.expect(200).id()
}

/// So many runs of a flow that wait for approval.
async fn waiting(api: &Api, token: &str, flow: Uuid, count: usize) -> Vec<Uuid> {
    let body: Vec<Value> = (0..count)
        .map(|_| json!({"flow": flow, "flow_request": sample()}))
        .collect();
    let answer = api.call("POST", RUNS, token, Some(json!(body))).await;
    ids(&answer.expect(200))
}

fn ids(answer: &Answer) -> Vec<Uuid> {
    let all = answer.body.as_array().unwrap().iter();
    all.map(|one| one["id"].as_str().unwrap().parse().unwrap())
        .collect()
}

/// Decisions about runs, with nothing else said.
fn about(runs: &[Uuid]) -> Value {
    let all = runs.iter().map(|run| json!({"flow_run_id": run}));
    Value::Array(all.collect())
}

/// `status` of each answer, and the sentence of each refusal.
fn told(answer: &Answer) -> Vec<String> {
    let word = |one: &Value| {
        let mut word = one["status"].to_string();
        if let Some(detail) = one["detail"].as_str() {
            write!(word, " {detail}").unwrap();
        }
        assert_eq!(one["status"] == 200, one["flow_run"].is_object(), "{one}");
        assert_eq!(one["status"] == 200, one.get("detail").is_none(), "{one}");
        word
    };
    answer.body.as_array().unwrap().iter().map(word).collect()
}
