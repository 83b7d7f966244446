//! Runs as they are made: the plan they fix, and what a requester cannot smuggle into one.

use neena_api::auth::Permission::{Approve, Read, Write};
use serde_json::{Value, json};

use crate::harness::{Api, faults};

const PATH: &str = "/api/v1/flow_runs/";

#[tokio::test]
async fn a_new_run_waits_for_approval_with_every_field_of_the_contract() {
    let api = Api::start().await;
    let (flow, request) = (api.flow().await, api.flow_request().await);
    let body = json!({
        "flow": flow,
        "flow_request": request,
        "status": "pending",
        "approval_status": null,
        "triggered_time": "2023-10-15T12:34:56.789Z",
        "end_time": null,
        "triggered_by": "ada@example.com",
    });
    let run = api.post(PATH, body).await.expect(200).body;
    assert_eq!(run["flow"], flow.to_string());
    assert_eq!(run["flow_request"], request.to_string());
    assert_eq!(run["status"], "pending");
    assert_eq!(run["approval_status"], Value::Null);
    assert_eq!(run["triggered_time"], "2023-10-15T12:34:56.789000Z");
    assert_eq!(run["end_time"], Value::Null);
    assert_eq!(run["triggered_by"], "ada@example.com");
    assert_eq!(run["task_runs"], json!([]));
    assert_eq!(run["waiting_for"], "approval");
    assert_eq!(run["flow_version"], 1);
    assert_eq!(run["plan_hash"].as_str().unwrap().len(), 64);
    let read = api
        .get(&format!("{PATH}?id={}", run["id"].as_str().unwrap()))
        .await
        .expect(200);
    assert_eq!(read.body, run);
    let with = api
        .get(&format!(
            "{PATH}with_flow_result?id={}",
            run["id"].as_str().unwrap()
        ))
        .await;
    assert_eq!(with.expect(200).body["flow_result"], Value::Null);
    assert_eq!(api.count("SELECT count(*) FROM outbox").await, 0);
    assert_eq!(
        api.count("SELECT count(*) FROM live_runs WHERE phase = 'waiting'")
            .await,
        1
    );
}

#[tokio::test]
async fn flow_and_request_are_enough() {
    let api = Api::start().await;
    let run = api.run().await;
    let run = api.get(&format!("{PATH}?id={run}")).await.body;
    assert_eq!(run["triggered_by"], "ada@example.com");
    assert_eq!(run["status"], "pending");
}

#[tokio::test]
async fn a_requester_cannot_smuggle_state() {
    let api = Api::start().await;
    let (flow, request) = (api.flow().await, api.flow_request().await);
    let before = api.rows().await;
    let body = json!({
        "flow": flow, "flow_request": request, "status": "completed", "approval_status": "rejected",
        "end_time": "2023-10-15T12:34:56Z", "triggered_by": "bob@example.com",
        "triggered_time": "yesterday",
    });
    let answer = api.post(PATH, body).await;
    assert_eq!(answer.fault(), "body.triggered_time: datetime_parsing");
    let body = json!({
        "flow": flow, "flow_request": request, "status": "completed", "approval_status": "rejected",
        "end_time": "2023-10-15T12:34:56Z", "triggered_by": "bob@example.com",
    });
    let expected = faults([
        ("body.status", "literal_error"),
        ("body.approval_status", "literal_error"),
        ("body.end_time", "none_required"),
        ("body.triggered_by", "value_error"),
    ]);
    assert_eq!(api.post(PATH, body).await.faults(), expected);
    for status in ["in_progress", "failed", "cancelled", "PENDING", ""] {
        let body = json!({"flow": flow, "flow_request": request, "status": status});
        assert_eq!(
            api.post(PATH, body).await.fault(),
            "body.status: literal_error",
            "{status}"
        );
    }
    assert_eq!(api.rows().await, before);
}

#[tokio::test]
async fn fields_the_server_owns_never_take_effect() {
    let api = Api::start().await;
    let (flow, request) = (api.flow().await, api.flow_request().await);
    let other = "0192f3a4-0000-7000-8000-00000000abcd";
    let body = json!({
        "flow": flow, "flow_request": request, "id": other, "epoch": 7, "organization": other,
        "organization_id": other, "created_by_email": "eve@example.com", "plan_hash": "0".repeat(64),
        "approved_hash": "0".repeat(64), "round": 9, "start_time": "2023-10-15T12:34:56Z",
    });
    let run = api.post(PATH, body).await.expect(200).body;
    assert_ne!(run["id"], other);
    assert_ne!(run["plan_hash"], "0".repeat(64));
    assert_eq!(run["round"], 1);
    assert_eq!(run["start_time"], Value::Null);
    assert_eq!(
        api.count("SELECT count(*) FROM flow_runs WHERE epoch <> 0")
            .await,
        0
    );
    assert_eq!(
        api.count("SELECT count(*) FROM flow_runs WHERE approved_hash IS NOT NULL")
            .await,
        0
    );
}

#[tokio::test]
async fn unknown_flow_and_request_are_both_listed() {
    let api = Api::start().await;
    let nothing = "0192f3a4-0000-7000-8000-00000000abcd";
    let body = json!({"flow": nothing, "flow_request": nothing, "status": "completed"});
    let expected = faults([
        ("body.flow", "unknown_id"),
        ("body.flow_request", "unknown_id"),
        ("body.status", "literal_error"),
    ]);
    assert_eq!(api.post(PATH, body).await.faults(), expected);
    let expected = faults([("body.flow", "missing"), ("body.flow_request", "missing")]);
    assert_eq!(api.post(PATH, json!({})).await.faults(), expected);
}

#[tokio::test]
async fn a_run_can_be_made_approved_by_who_may_approve() {
    let api = Api::start().await;
    let (flow, request) = (api.flow().await, api.flow_request().await);
    let body = json!({"flow": flow, "flow_request": request, "approval_status": "approved"});
    let may_not = api.token_of("ada@example.com", None, &[Read, Write]);
    let before = api.rows().await;
    api.call("POST", PATH, &may_not, Some(body.clone()))
        .await
        .expect(403);
    assert_eq!(api.rows().await, before);
    let durable = api.db.commits().durable;
    let run = api.post(PATH, body).await.expect(200).body;
    assert_eq!(api.db.commits().durable, durable + 1, "one unit of work");
    assert_eq!(run["status"], "in_progress");
    assert_eq!(run["approval_status"], "approved");
    assert_eq!(api.count("SELECT count(*) FROM approvals").await, 1);
    assert_eq!(
        api.count("SELECT count(*) FROM outbox WHERE kind = 'flow_run.approved'")
            .await,
        1
    );
    assert_eq!(
        api.count("SELECT count(*) FROM live_runs WHERE phase = 'ready'")
            .await,
        1
    );
}

#[tokio::test]
async fn in_an_organization_nobody_makes_their_own_run_approved() {
    let api = Api::start().await;
    let token = api.token_of("ada@example.com", Some("org_acme"), &[Read, Write, Approve]);
    let (flow, request) = (api.flow_of(&token).await, api.flow_request_of(&token).await);
    let body = json!({"flow": flow, "flow_request": request, "approval_status": "approved"});
    let answer = api.call("POST", PATH, &token, Some(body)).await.expect(403);
    assert_eq!(answer.detail(), "You cannot approve your own run");
    assert_eq!(api.count("SELECT count(*) FROM flow_runs").await, 0);
}

#[tokio::test]
async fn execute_makes_a_run_that_waits() {
    let api = Api::start().await;
    let (flow, request) = (api.flow().await, api.flow_request().await);
    let path = format!("/api/v1/flows/execute?flow_id={flow}&flow_request_id={request}");
    let run = api
        .call("POST", &path, &api.token(), None)
        .await
        .expect(200)
        .body;
    assert_eq!(run["flow"], flow.to_string());
    assert_eq!(run["status"], "pending");
    assert_eq!(run["approval_status"], Value::Null);
    let nothing = "0192f3a4-0000-7000-8000-00000000abcd";
    let path = format!("/api/v1/flows/execute?flow_id={nothing}&flow_request_id={request}");
    let answer = api
        .call("POST", &path, &api.token(), None)
        .await
        .expect(404);
    assert_eq!(answer.detail(), "Flow not found");
    let path = format!("/api/v1/flows/execute?flow_id={flow}&flow_request_id={nothing}");
    let answer = api
        .call("POST", &path, &api.token(), None)
        .await
        .expect(404);
    assert_eq!(answer.detail(), "Flow request not found");
}

#[tokio::test]
async fn a_parameter_that_nothing_gives_is_named() {
    let api = Api::start().await;
    let sleep = api.definition("core.sleep").await;
    let flow = json!({
        "name": "By name", "dependencies": [],
        "task_operations": [{"name": "Sleep", "task_definition": sleep, "index": 0}],
    });
    let flow = api.post("/api/v1/flows/", flow).await.expect(200).id();
    let request = api.flow_request().await;
    let before = api.rows().await;
    let answer = api
        .post(PATH, json!({"flow": flow, "flow_request": request}))
        .await;
    assert_eq!(answer.fault(), "body.flow_request: missing_argument");
    assert!(answer.text.contains("`seconds`"), "{}", answer.text);
    let path = format!("/api/v1/flows/execute?flow_id={flow}&flow_request_id={request}");
    let answer = api.call("POST", &path, &api.token(), None).await;
    assert_eq!(answer.fault(), "query.flow_request_id: missing_argument");
    assert_eq!(api.rows().await, before);
    let body = json!({
        "request_instructions": "Sleep a little.", "request_metadata": [{"seconds": 9}, {"seconds": 1}],
    });
    let request = api
        .post("/api/v1/flow_requests/", body)
        .await
        .expect(200)
        .id();
    let run = api
        .post(PATH, json!({"flow": flow, "flow_request": request}))
        .await
        .expect(200)
        .id();
    let plan = api
        .get(&format!("/api/v1/flow_runs/plan?flow_run_id={run}"))
        .await
        .expect(200);
    let kept = &plan.body["request"]["metadata"]["seconds"];
    assert_eq!(*kept, 1, "the later entry wins");
}

#[tokio::test]
async fn the_same_flow_and_request_have_the_same_plan_and_share_its_graph() {
    let api = Api::start().await;
    let (flow, request) = (api.flow().await, api.flow_request().await);
    let body = json!({"flow": flow, "flow_request": request});
    let first = api.post(PATH, body.clone()).await.expect(200).body;
    let second = api.post(PATH, body.clone()).await.expect(200).body;
    assert_eq!(first["plan_hash"], second["plan_hash"]);
    assert_ne!(first["id"], second["id"]);
    assert_eq!(api.count("SELECT count(*) FROM plan_graphs").await, 1);
    let mut edit = api.flow_body().await;
    edit["id"] = json!(flow);
    edit["task_operations"][1]["arguments"] = json!({"x": 3});
    api.put("/api/v1/flows/", edit).await.expect(200);
    let third = api.post(PATH, body).await.expect(200).body;
    assert_ne!(third["plan_hash"], first["plan_hash"]);
    assert_eq!(third["flow_version"], 2);
}

#[tokio::test]
async fn editing_or_deleting_what_a_run_was_made_from_never_touches_it() {
    let api = Api::start().await;
    let (flow, request) = (api.flow().await, api.flow_request().await);
    let body = json!({"flow": flow, "flow_request": request});
    let run = api.post(PATH, body).await.expect(200).body;
    let mut edit = api.flow_body().await;
    edit["id"] = json!(flow);
    edit["name"] = json!("Something else");
    api.put("/api/v1/flows/", edit).await.expect(200);
    let edit = json!({"id": request, "request_instructions": "Something else."});
    api.put("/api/v1/flow_requests/", edit).await.expect(200);
    let token = api.token();
    api.call("DELETE", &format!("/api/v1/flows/?id={flow}"), &token, None)
        .await
        .expect(200);
    api.call(
        "DELETE",
        &format!("/api/v1/flow_requests/?id={request}"),
        &token,
        None,
    )
    .await
    .expect(200);
    let id = run["id"].as_str().unwrap();
    assert_eq!(
        api.get(&format!("{PATH}?id={id}")).await.expect(200).body,
        run
    );
    let preview = api
        .get("/api/v1/flow_runs/preview/all")
        .await
        .expect(200)
        .body;
    assert_eq!(preview[0]["flow_name"], "Sample Flow");
    assert_eq!(
        preview[0]["flow_request_instructions"],
        "Process this request."
    );
    let path = format!("/api/v1/flow_runs/approve?flow_run_id={id}");
    api.call("PUT", &path, &token, None).await.expect(200);
}

#[tokio::test]
async fn metadata_that_no_plan_can_hold_is_refused_where_it_is_used() {
    let api = Api::start().await;
    let flow = api.flow().await;
    let deep = format!("{}1{}", "[".repeat(100), "]".repeat(100));
    let deep: Value = serde_json::from_str(&deep).unwrap();
    let body = json!({"request_instructions": "Go deep.", "request_metadata": [{"deep": deep}]});
    let request = api
        .post("/api/v1/flow_requests/", body)
        .await
        .expect(200)
        .id();
    let answer = api
        .post(PATH, json!({"flow": flow, "flow_request": request}))
        .await;
    assert_eq!(answer.fault(), "body.flow_request: too_deep");
}

#[tokio::test]
async fn a_time_that_utc_has_no_year_for_is_a_fault() {
    let api = Api::start().await;
    let (flow, request) = (api.flow().await, api.flow_request().await);
    let before = api.rows().await;
    for time in [
        "9999-12-31T23:59:59-23:59",
        "0000-01-01T00:00:00+23:59",
        "9999-12-31T23:59:60Z",
    ] {
        let body = json!({"flow": flow, "flow_request": request, "triggered_time": time});
        let answer = api.post(PATH, body).await;
        assert_eq!(
            answer.fault(),
            "body.triggered_time: datetime_parsing",
            "{time}"
        );
    }
    assert_eq!(api.rows().await, before);
    for (time, shown) in [
        ("9999-12-31T23:59:59.999999Z", "9999-12-31T23:59:59.999999Z"),
        ("0000-01-01T00:00:00Z", "0000-01-01T00:00:00.000000Z"),
    ] {
        let body = json!({"flow": flow, "flow_request": request, "triggered_time": time});
        let run = api.post(PATH, body).await.expect(200).body;
        assert_eq!(run["triggered_time"], shown);
    }
}
