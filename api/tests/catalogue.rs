//! Integrations and task definitions: the built-in ones, and those a sync registers.

use std::path::Path;
use std::sync::Arc;

use async_trait::async_trait;
use neena_api::Hosting;
use neena_api::auth::Permission;
use serde_json::{Value, json};

use crate::harness::{Api, Setup, faults};

pub const SYNC: &str = "/api/v1/integrations/sync";

pub fn manifest() -> Value {
    json!({"integrations": [{
        "class_name": "CommitDigest",
        "name": "Commit Digest",
        "short_name": "commit_digest",
        "auth_type": "none",
        "code_digest": "ab".repeat(32),
        "path": "/srv/integrations/commit_digest.py",
        "tasks": [task("read_commits"), task("rank_authors")],
    }]})
}

pub fn task(method: &str) -> Value {
    json!({
        "task_name": "Sample Task",
        "python_method_name": method,
        "description": "A sample task definition.",
        "parameters": [parameter("param1")],
        "input_type": "JSON",
        "input_yml": "input.yml content",
        "output_type": "JSON",
        "output_yml": "output.yml content",
        "output_parameters": [parameter("result")],
        "output_is_list": false,
        "pure": true,
        "repeatable": false,
    })
}

fn parameter(name: &str) -> Value {
    json!({
        "name": name, "data_type": "string", "position": 1, "doc_string": "First parameter",
        "optional": false,
    })
}

async fn definitions(api: &Api) -> Vec<Value> {
    api.get("/api/v1/task_definitions/all?limit=1000")
        .await
        .expect(200)
        .body
        .as_array()
        .unwrap()
        .clone()
}

#[tokio::test]
async fn the_built_in_tasks_are_there_from_the_start_and_the_same_after_another() {
    let api = Api::start().await;
    let first = definitions(&api).await;
    let mut methods: Vec<&str> = first
        .iter()
        .map(|row| row["python_method_name"].as_str().unwrap())
        .collect();
    methods.sort_unstable();
    assert_eq!(
        methods,
        ["core.echo", "core.evaluate", "core.fail", "core.sleep"]
    );
    neena_api::catalogue::upsert_built_ins(&api.db)
        .await
        .unwrap();
    assert_eq!(definitions(&api).await, first);
}

#[tokio::test]
async fn a_synced_task_has_every_field_of_the_contract() {
    let api = Api::start().await;
    let synced = api.put(SYNC, manifest()).await.expect(200).body;
    let integration = &synced["integrations"][0];
    let listed = api
        .get("/api/v1/integrations/all?limit=1")
        .await
        .expect(200)
        .body;
    for (field, value) in listed[0].as_object().unwrap() {
        assert_eq!(integration[field], *value, "{field}");
    }
    assert_eq!(integration["short_name"], "commit_digest");
    let id = integration["task_definitions"][0]["id"].as_str().unwrap();
    let read = api
        .get(&format!("/api/v1/task_definitions/?id={id}"))
        .await
        .expect(200)
        .body;
    assert_eq!(read, integration["task_definitions"][0]);
    for (field, value) in task("read_commits").as_object().unwrap() {
        assert_eq!(read[field], *value, "{field}");
    }
    assert_eq!(read["integration"], integration["id"]);
    assert_eq!(read["created_by_email"], "ada@example.com");
    assert_eq!(read["modified_by_email"], "ada@example.com");
    assert_eq!(read["deleted_at"], Value::Null);
    assert_eq!(read["belongs_to_integration"], listed[0]);
    assert!(definitions(&api).await.contains(&read));
}

#[tokio::test]
async fn a_sync_that_changes_nothing_touches_nothing() {
    let api = Api::start().await;
    let first = api.put(SYNC, manifest()).await.expect(200).body;
    assert_eq!(api.put(SYNC, manifest()).await.expect(200).body, first);
    assert_eq!(api.count("SELECT count(*) FROM task_definitions").await, 6);
}

#[tokio::test]
async fn a_sync_updates_inserts_and_takes_away() {
    let api = Api::start().await;
    let first = api.put(SYNC, manifest()).await.expect(200).body;
    let mut changed = manifest();
    changed["integrations"][0]["code_digest"] = json!("cd".repeat(32));
    changed["integrations"][0]["tasks"] = json!([task("render"), task("read_commits")]);
    let bob = api.token_of("bob@example.com", None, &Permission::ALL);
    let second = api
        .call("PUT", SYNC, &bob, Some(changed))
        .await
        .expect(200)
        .body;
    let (before, after) = (&first["integrations"][0], &second["integrations"][0]);
    assert_eq!(after["id"], before["id"]);
    assert_eq!(after["created_date"], before["created_date"]);
    let kept = &after["task_definitions"][1];
    assert_eq!(kept["id"], before["task_definitions"][0]["id"]);
    assert_eq!(kept["code_digest"], "cd".repeat(32));
    assert_eq!(kept["created_by_email"], "ada@example.com");
    assert_eq!(kept["modified_by_email"], "bob@example.com");
    let gone = before["task_definitions"][1]["id"].as_str().unwrap();
    let answer = api
        .get(&format!("/api/v1/task_definitions/?id={gone}"))
        .await
        .expect(404);
    assert_eq!(answer.detail(), "Task definition not found");
    assert_eq!(definitions(&api).await.len(), 6);
    let third = api.put(SYNC, manifest()).await.expect(200).body;
    assert_eq!(
        third["integrations"][0]["task_definitions"][1]["id"], gone,
        "it is the same one again"
    );
    api.get(&format!("/api/v1/task_definitions/?id={gone}"))
        .await
        .expect(200);
}

#[tokio::test]
async fn a_flow_of_a_task_that_was_taken_away_makes_no_run() {
    let api = Api::start().await;
    let synced = api.put(SYNC, manifest()).await.expect(200).body;
    let task = &synced["integrations"][0]["task_definitions"][1]["id"];
    let flow = json!({
        "name": "Ranks", "dependencies": [],
        "task_operations": [
            {"name": "Rank", "task_definition": task, "index": 0, "arguments": {"param1": "x"}},
        ],
    });
    let flow = api.post("/api/v1/flows/", flow).await.expect(200).id();
    let request = api.flow_request().await;
    let body = json!({"flow": flow, "flow_request": request});
    let run = api
        .post("/api/v1/flow_runs/", body.clone())
        .await
        .expect(200)
        .id();
    let mut less = manifest();
    less["integrations"][0]["tasks"]
        .as_array_mut()
        .unwrap()
        .pop();
    api.put(SYNC, less).await.expect(200);
    let answer = api.post("/api/v1/flow_runs/", body).await;
    assert_eq!(
        answer.fault(),
        "body.flow.task_operations.0.task_definition: unknown_task_definition"
    );
    let path = format!("/api/v1/flow_runs/approve?flow_run_id={run}");
    api.call("PUT", &path, &api.token(), None).await.expect(409);
}

#[tokio::test]
async fn names_that_are_not_plain_methods_are_refused() {
    let api = Api::start().await;
    let before = api.rows().await;
    for method in [
        "os.system",
        "__init__",
        "__reduce__",
        "a.b",
        "_private",
        "",
        "core.echo",
        "a b",
        "1st",
        "reаd",
        "ﬁnd",
        "eval()",
        "x\n",
        "../x",
    ] {
        let mut wrong = manifest();
        wrong["integrations"][0]["tasks"][0]["python_method_name"] = json!(method);
        let answer = api.put(SYNC, wrong).await;
        let expected = "body.integrations.0.tasks.0.python_method_name: string_pattern_mismatch";
        assert_eq!(answer.fault(), expected, "{method}");
    }
    for class in ["os.system", "__class__", "A.B", ""] {
        let mut wrong = manifest();
        wrong["integrations"][0]["class_name"] = json!(class);
        let answer = api.put(SYNC, wrong).await;
        assert_eq!(
            answer.fault(),
            "body.integrations.0.class_name: string_pattern_mismatch"
        );
    }
    assert_eq!(api.rows().await, before);
}

#[tokio::test]
async fn every_fault_of_a_manifest_is_listed_and_nothing_stored() {
    let api = Api::start().await;
    let before = api.rows().await;
    let mut wrong = manifest();
    let integration = &mut wrong["integrations"][0];
    integration["short_name"] = json!("core");
    integration["auth_type"] = json!("magic");
    integration["code_digest"] = json!("123");
    integration["tasks"][0]["task_name"] = json!("short");
    integration["tasks"][0]["parameters"][0]
        .as_object_mut()
        .unwrap()
        .remove("optional");
    integration["tasks"][1]["python_method_name"] = json!("read_commits");
    let expected = faults([
        ("body.integrations.0.short_name", "reserved"),
        ("body.integrations.0.auth_type", "enum"),
        ("body.integrations.0.code_digest", "string_pattern_mismatch"),
        ("body.integrations.0.tasks.0.task_name", "string_too_short"),
        (
            "body.integrations.0.tasks.0.parameters.0.optional",
            "missing",
        ),
        (
            "body.integrations.0.tasks.1.python_method_name",
            "duplicate",
        ),
    ]);
    assert_eq!(api.put(SYNC, wrong).await.faults(), expected);
    assert_eq!(api.rows().await, before);
}

/// Hosts what is in `/srv` and remembers nothing.
#[derive(Debug)]
pub struct Host;

#[async_trait]
impl Hosting for Host {
    async fn host(&self, short_name: &str, digest: &str, path: &Path) -> Result<(), String> {
        assert_eq!(
            (short_name, digest),
            ("commit_digest", "ab".repeat(32).as_str())
        );
        if path.starts_with("/srv") {
            Ok(())
        } else {
            Err("the digest is another".to_owned())
        }
    }
}

#[tokio::test]
async fn a_sync_says_whether_this_server_hosts_the_code() {
    let api = Api::start_with(Setup {
        hosting: Some(Arc::new(Host)),
        ..Setup::default()
    })
    .await;
    let hosted = async |token: &str, path: Value| {
        let mut manifest = manifest();
        manifest["integrations"][0]["path"] = path;
        let answer = api
            .call("PUT", SYNC, token, Some(manifest))
            .await
            .expect(200)
            .body;
        let integration = &answer["integrations"][0];
        (integration["hosted"].clone(), integration["reason"].clone())
    };
    let ada = api.token();
    assert_eq!(
        hosted(&ada, json!("/srv/a.py")).await,
        (json!(true), Value::Null)
    );
    assert_eq!(
        hosted(&ada, json!("/tmp/a.py")).await,
        (json!(false), json!("the digest is another"))
    );
    assert_eq!(hosted(&ada, Value::Null).await.0, false);
    let elsewhere = api.token_of("eve@other.example", Some("org_other"), &Permission::ALL);
    let (is_hosted, reason) = hosted(&elsewhere, json!("/srv/a.py")).await;
    assert_eq!(is_hosted, false);
    assert!(reason.as_str().unwrap().contains("path"));
}

#[tokio::test]
async fn without_a_worker_nothing_is_hosted() {
    let api = Api::start().await;
    let answer = api.put(SYNC, manifest()).await.expect(200).body;
    assert_eq!(answer["integrations"][0]["hosted"], false);
    assert_eq!(
        answer["integrations"][0]["reason"],
        "this server runs no tasks"
    );
}
