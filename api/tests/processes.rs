//! Two processes of one installation: what one did, the other knows; what both do at once is done once.

use std::collections::HashSet;

use futures_util::future::join_all;
use serde_json::{Value, json};

use crate::harness::{Answer, Api, clustered, request};

const SYNC: &str = "/api/v1/integrations/sync";

async fn two() -> (Api, Api) {
    let first = Api::start().await;
    let second = first.another().await;
    (first, second)
}

fn manifest(digest: &str) -> Value {
    json!({"integrations": [{
        "class_name": "Greeter", "name": "Greeter", "short_name": "greeter", "auth_type": "none",
        "code_digest": digest.repeat(32),
        "tasks": [{
            "task_name": "Greet somebody", "python_method_name": "greet", "parameters": [],
            "input_type": "JSON", "input_yml": "", "output_type": "JSON", "output_yml": "",
            "output_parameters": [], "output_is_list": false,
        }],
    }]})
}

async fn post_under_key(api: &Api, key: &str, path: &str, body: &Value) -> Answer {
    let mut request = request("POST", path, &api.token(), Some(body.to_string()));
    request
        .headers_mut()
        .insert("idempotency-key", key.parse().unwrap());
    api.send(request).await
}

#[tokio::test]
async fn the_same_post_to_both_processes_takes_effect_once() {
    let (first, second) = two().await;
    let (flow, request) = (first.flow().await, first.flow_request().await);
    let body = json!({"flow": flow, "flow_request": request, "approval_status": "approved"});
    for round in 0..5 {
        let key = format!("key-{round}");
        let calls = (0..16).map(|at| {
            let api = if at % 2 == 0 { &first } else { &second };
            post_under_key(api, &key, "/api/v1/flow_runs/", &body)
        });
        let answers = join_all(calls).await;
        let texts: HashSet<&str> = answers.iter().map(|answer| answer.text.as_str()).collect();
        assert_eq!(texts.len(), 1, "{texts:?}");
        assert_eq!(answers[0].status, 200);
    }
    assert_eq!(first.count("SELECT count(*) FROM flow_runs").await, 5);
    assert_eq!(first.count("SELECT count(*) FROM outbox").await, 5);
}

#[tokio::test]
async fn old_keys_are_removed_by_many_at_once() {
    let (first, second) = two().await;
    let body = json!({"request_instructions": "Process this request."});
    for at in 0..40 {
        post_under_key(
            &first,
            &format!("old-{at}"),
            "/api/v1/flow_requests/",
            &body,
        )
        .await
        .expect(200);
    }
    first
        .execute("UPDATE idempotency_keys SET created_at = created_at - 90000000000".to_owned())
        .await;
    let keys: Vec<String> = (0..32).map(|at| format!("new-{at}")).collect();
    let calls = keys.iter().enumerate().map(|(at, key)| {
        let api = if at % 2 == 0 { &first } else { &second };
        post_under_key(api, key, "/api/v1/flow_requests/", &body)
    });
    for answer in join_all(calls).await {
        answer.expect(200);
    }
    post_under_key(&second, "last", "/api/v1/flow_requests/", &body)
        .await
        .expect(200);
    let left = first.count("SELECT count(*) FROM idempotency_keys").await;
    assert_eq!(left, 33, "the new ones");
}

#[tokio::test]
async fn a_user_whose_first_calls_come_to_both_processes_is_one() {
    let (first, second) = two().await;
    let token = first.token_of("eve@other.example", Some("org_new"), &[]);
    let calls = (0..32).map(|at| {
        let api = if at % 2 == 0 { &first } else { &second };
        api.call("GET", "/api/v1/users/", &token, None)
    });
    let mut seen = HashSet::new();
    for answer in join_all(calls).await {
        let user = answer.expect(200).body;
        seen.insert((user["id"].to_string(), user["organization"].to_string()));
    }
    assert_eq!(seen.len(), 1);
    assert_eq!(first.count("SELECT count(*) FROM users").await, 1);
    assert_eq!(first.count("SELECT count(*) FROM organizations").await, 1);
}

#[tokio::test]
async fn edits_of_a_flow_at_the_same_time_are_one_version_each_or_a_conflict() {
    let (first, second) = two().await;
    let flow = first.flow().await;
    let mut body = first.flow_body().await;
    body["id"] = json!(flow);
    let calls = (0..16).map(|at| {
        let api = if at % 2 == 0 { &first } else { &second };
        let mut body = body.clone();
        body["name"] = json!(format!("Edit {at}"));
        async move { api.put("/api/v1/flows/", body).await }
    });
    let answers = join_all(calls).await;
    let mut versions = HashSet::new();
    for answer in &answers {
        match answer.status.as_u16() {
            200 => assert!(versions.insert(answer.body["version"].as_i64().unwrap())),
            409 => {}
            other => panic!("{other}: {}", answer.text),
        }
    }
    let read = second.get(&format!("/api/v1/flows/?id={flow}")).await;
    let newest = versions.iter().copied().max().unwrap();
    assert_eq!(read.expect(200).body["version"], newest);
    let stored = first.count("SELECT count(*) FROM flow_versions").await;
    assert_eq!(stored, newest);
    assert_eq!(i64::try_from(versions.len()).unwrap() + 1, newest);
}

#[tokio::test]
async fn approvals_by_both_processes_are_one_event() {
    let (first, second) = two().await;
    let run = first.run().await;
    let path = format!("/api/v1/flow_runs/approve?flow_run_id={run}");
    let token = first.token();
    let calls = (0..16).map(|at| {
        let api = if at % 2 == 0 { &first } else { &second };
        api.call("PUT", &path, &token, None)
    });
    for answer in join_all(calls).await {
        assert_eq!(answer.expect(200).body["approval_status"], "approved");
    }
    assert_eq!(first.count("SELECT count(*) FROM approvals").await, 1);
    assert_eq!(first.count("SELECT count(*) FROM outbox").await, 1);
}

#[tokio::test]
async fn what_one_registers_the_other_plans_with_and_approves_by() {
    let (first, second) = two().await;
    // Both have looked into the catalogue before it changes.
    second.flow().await;
    first.put(SYNC, manifest("ab")).await.expect(200);
    let greet = second.definition("greet").await;
    let flow = json!({
        "name": "Greeting", "dependencies": [],
        "task_operations": [{"name": "Greet", "index": 0, "task_definition": greet, "arguments": {}}],
    });
    let flow = second.post("/api/v1/flows/", flow).await.expect(200).id();
    let request = second.flow_request().await;
    let body = json!({"flow": flow, "flow_request": request});
    let run = second
        .post("/api/v1/flow_runs/", body)
        .await
        .expect(200)
        .id();
    let plan = format!("/api/v1/flow_runs/plan?flow_run_id={run}");
    second.get(&plan).await.expect(200);
    first.put(SYNC, manifest("cd")).await.expect(200);
    let path = format!("/api/v1/flow_runs/approve?flow_run_id={run}");
    second
        .call("PUT", &path, &second.token(), None)
        .await
        .expect(409);
}

#[tokio::test]
async fn processes_that_register_the_same_at_once_agree() {
    let (first, second) = two().await;
    let calls = (0..8).map(|at| {
        let api = if at % 2 == 0 { &first } else { &second };
        api.put(SYNC, manifest("ab"))
    });
    let mut ids = HashSet::new();
    for answer in join_all(calls).await {
        let synced = answer.expect(200).body;
        ids.insert(synced["integrations"][0]["task_definitions"][0]["id"].to_string());
    }
    assert_eq!(ids.len(), 1);
    // As every process does at its start.
    let (one, other) = tokio::join!(
        neena_api::catalogue::upsert_built_ins(&first.db),
        neena_api::catalogue::upsert_built_ins(&second.db),
    );
    one.unwrap();
    other.unwrap();
}

/// Postgres' functions for JSON refuse a text that holds U+0000, though JSON may.
#[tokio::test]
async fn a_request_with_nul_in_its_metadata_is_listed_like_any_other() {
    let api = Api::start().await;
    let flow = api.flow().await;
    let body = json!({
        "request_instructions": "Process \\u0000 this.",
        "request_metadata": [{"a": "x\u{0}\u{0}y", "b\u{0}": "\\\u{0}"}],
    });
    let request = api.post("/api/v1/flow_requests/", body).await.expect(200);
    assert_eq!(request.body["request_metadata"][0]["a"], "x\u{0}\u{0}y");
    let body = json!({"flow": flow, "flow_request": request.id(), "approval_status": "approved"});
    let run = api.post("/api/v1/flow_runs/", body).await.expect(200).id();
    let listed = api.get("/api/v1/flow_runs/preview/all").await.expect(200);
    let shown = &listed.body[0]["flow_request_instructions"];
    assert_eq!(*shown, "Process \\u0000 this.");
    let plan = api
        .get(&format!("/api/v1/flow_runs/plan?flow_run_id={run}"))
        .await
        .expect(200);
    assert_eq!(plan.body["request"]["metadata"]["a"], "x\u{0}\u{0}y");
}

#[tokio::test]
async fn the_suite_runs_where_it_says() {
    let api = Api::start().await;
    use sea_orm::{ConnectionTrait, DatabaseBackend};
    let postgres = api.db.reader().get_database_backend() == DatabaseBackend::Postgres;
    assert_eq!(postgres, clustered());
}
