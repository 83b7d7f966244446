//! Integrations whose tasks workers outside run: declared, never loaded.

use std::sync::Arc;

use serde_json::{Value, json};

use crate::catalogue::{Host, SYNC, manifest, task};
use crate::harness::{Api, Setup, faults};

fn external() -> Value {
    json!({"integrations": [{
        "class_name": "Resize", "name": "Resize pictures", "short_name": "resize", "auth_type": "none",
        "kind": "external", "tasks": [task("shrink")],
    }]})
}

#[tokio::test]
async fn an_external_integration_is_declared_and_waits_in_its_queue() {
    let api = Api::start_with(Setup {
        hosting: Some(Arc::new(Host)),
        ..Setup::default()
    })
    .await;
    let synced = api.put(SYNC, external()).await.expect(200).body;
    let integration = &synced["integrations"][0];
    assert_eq!(integration["hosted"], false);
    assert_eq!(
        integration["reason"],
        "its tasks wait in the queue `neena.tasks.resize` for workers outside"
    );
    let definition = &integration["task_definitions"][0];
    assert_eq!(definition["kind"], "external");
    let digest = integration["code_digest"].as_str().unwrap();
    assert_eq!(digest.len(), 64);
    assert_eq!(definition["code_digest"], digest);
    assert_eq!(api.put(SYNC, external()).await.expect(200).body, synced);

    let flow = json!({
        "name": "Resizing", "dependencies": [],
        "task_operations": [{
            "name": "Shrink", "index": 0, "task_definition": definition["id"],
            "arguments": {"param1": "a"},
        }],
    });
    let flow = api.post("/api/v1/flows/", flow).await.expect(200).id();
    let body = json!({"flow": flow, "flow_request": api.flow_request().await});
    let run = api.post("/api/v1/flow_runs/", body).await.expect(200).id();
    let path = format!("/api/v1/flow_runs/plan?flow_run_id={run}");
    let plan = api.get(&path).await.expect(200).body;
    assert_eq!(plan["operations"][0]["kind"], "external");
    assert_eq!(plan["operations"][0]["code_digest"], digest);
}

#[tokio::test]
async fn a_declaration_that_changes_has_another_digest_and_a_given_one_is_kept() {
    let api = Api::start().await;
    let digest = async |manifest: Value| {
        let synced = api.put(SYNC, manifest).await.expect(200).body;
        synced["integrations"][0]["code_digest"].clone()
    };
    let first = digest(external()).await;
    let mut spelled_out = external();
    spelled_out["integrations"][0]["path"] = Value::Null;
    assert_eq!(digest(spelled_out).await, first);
    let mut changed = external();
    changed["integrations"][0]["tasks"][0]["pure"] = json!(false);
    assert_ne!(digest(changed).await, first);
    let mut given = external();
    given["integrations"][0]["code_digest"] = json!("cd".repeat(32));
    assert_eq!(digest(given).await, "cd".repeat(32));
}

#[tokio::test]
async fn sources_are_told_of_python_and_of_nothing_else() {
    let api = Api::start().await;
    let mut wrong = manifest();
    let fields = wrong["integrations"][0].as_object_mut().unwrap();
    fields.remove("code_digest");
    let expected = faults([("body.integrations.0.code_digest", "missing")]);
    assert_eq!(api.put(SYNC, wrong).await.faults(), expected);
    let mut wrong = external();
    wrong["integrations"][0]["path"] = json!("/srv/resize.py");
    let expected = faults([("body.integrations.0.path", "none_required")]);
    assert_eq!(api.put(SYNC, wrong).await.faults(), expected);
    let mut wrong = external();
    wrong["integrations"][0]["kind"] = json!("built_in");
    assert_eq!(api.put(SYNC, wrong).await.status, 422);
}
