//! What waits for whom.

use serde_json::{Value, json};
use uuid::Uuid;

use super::Api;

impl Api {
    async fn inbox(&self, who: &str) -> Vec<Value> {
        let answer = self
            .call("GET", "/api/v1/approvals/all", &self.as_(who), None)
            .await;
        answer.expect(200).body.as_array().unwrap().clone()
    }
}

fn runs(inbox: &[Value]) -> Vec<Uuid> {
    let id = |row: &Value| row["flow_run"].as_str().unwrap().parse().unwrap();
    inbox.iter().map(id).collect()
}

#[tokio::test]
async fn what_waits_for_me_comes_oldest_first() {
    let api = Api::start().await;
    let any = api.asking(json!(null)).await;
    let group = json!({"name": "finance", "members": ["bob@example.com"]});
    api.call("PUT", "/api/v1/groups/", &api.as_("ada"), Some(group))
        .await
        .expect(200);
    let finance = api
        .asking(json!({"approvers": ["group:finance"], "expires_in_seconds": 60}))
        .await;
    let eve = api.asking(json!({"approvers": ["eve@example.com"]})).await;
    assert_eq!(runs(&api.inbox("bob").await), [any, finance]);
    assert_eq!(runs(&api.inbox("eve").await), [any, eve]);
    // What ada asked for does not wait for ada.
    assert_eq!(api.inbox("ada").await, Vec::<Value>::new());
    let row = &api.inbox("bob").await[1];
    assert_eq!(row["flow_name"], "Ship it");
    assert_eq!(
        (&row["stage"], &row["approvals"], &row["needed"]),
        (&json!("approval"), &json!(0), &json!(1))
    );
    assert_eq!(row["triggered_by"], "ada@example.com");
    assert_eq!(
        (&row["gate"], &row["stands_in_for"]),
        (&Value::Null, &Value::Null)
    );
    assert!(row["due_time"].is_string());
    api.decide("bob", "approve", finance, "", None)
        .await
        .expect(200);
    assert_eq!(runs(&api.inbox("bob").await), [any]);
    let page = api
        .call(
            "GET",
            "/api/v1/approvals/all?skip=1&limit=1",
            &api.as_("eve"),
            None,
        )
        .await;
    assert_eq!(runs(page.expect(200).body.as_array().unwrap()), [eve]);
    let bad = api
        .call(
            "GET",
            "/api/v1/approvals/all?limit=0",
            &api.as_("eve"),
            None,
        )
        .await;
    assert_eq!(bad.fault(), "query.limit: greater_than_equal");
}

#[tokio::test]
async fn another_organizations_runs_wait_for_nobody_here() {
    let api = Api::start().await;
    let run = api.asking(json!(null)).await;
    let all = &neena_api::auth::Permission::ALL;
    let other = api.token_of("bob@example.com", Some("other"), all);
    let inbox = api.call("GET", "/api/v1/approvals/all", &other, None).await;
    assert_eq!(inbox.expect(200).body, json!([]));
    for path in [
        format!("/api/v1/flow_runs/plan_diff?flow_run_id={run}"),
        format!("/api/v1/flow_runs/plan?flow_run_id={run}"),
        format!("/api/v1/decisions/all?flow_run_id={run}"),
    ] {
        api.call("GET", &path, &other, None).await.expect(404);
    }
    for what in ["approve", "reject", "cancel", "retry"] {
        let path = format!("/api/v1/flow_runs/{what}?flow_run_id={run}");
        api.call("PUT", &path, &other, None).await.expect(404);
    }
    let path = format!("/api/v1/flow_runs/approve?flow_run_id={run}&task_operation_index=1");
    api.call("PUT", &path, &other, None).await.expect(404);
}

#[tokio::test]
async fn a_gate_waits_with_its_stage() {
    let api = Api::start().await;
    let gate = json!({"stages": [{"name": "shipping"}]});
    let run = api.at_gates([Value::Null, gate]).await;
    let inbox = api.inbox("bob").await;
    assert_eq!(runs(&inbox), [run]);
    assert_eq!(inbox[0]["stage"], "shipping");
    assert_eq!(inbox[0]["task_operation_index"], 2);
    assert!(inbox[0]["gate"].is_string());
}
