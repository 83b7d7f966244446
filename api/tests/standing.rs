//! Approvals given beforehand start what they cover, as often and as long as they say, and nothing else.

use futures_util::future::join_all;
use neena_api::auth::Permission::{self, Admin, Approve, Read, Write};
use serde_json::{Value, json};
use uuid::Uuid;

use crate::harness::{Answer, Api};

const PATH: &str = "/api/v1/standing_approvals/";

/// Somebody of the organization.
fn token(api: &Api, email: &str, may: &[Permission]) -> String {
    api.token_of(email, Some("org_a"), may)
}

fn ada(api: &Api) -> String {
    token(api, "ada@example.com", &[Read, Write])
}

fn eve(api: &Api) -> String {
    token(api, "eve@example.com", &[Read, Write, Approve])
}

/// A flow that may be approved beforehand, which an admin allows.
async fn flow(api: &Api, approval: Value) -> Uuid {
    let root = token(api, "root@example.com", &[Read, Write, Admin]);
    let mut body = api.flow_body().await;
    body["approval"] = approval;
    let answer = api.call("POST", "/api/v1/flows/", &root, Some(body)).await;
    answer.expect(200).id()
}

async fn request(api: &Api, amount: Value) -> Uuid {
    let body = json!({"request_instructions": "Pay the invoice.", "request_metadata": [{"amount": amount}]});
    let token = ada(api);
    let answer = api.call("POST", "/api/v1/flow_requests/", &token, Some(body));
    answer.await.expect(200).id()
}

async fn run(api: &Api, token: &str, flow: Uuid, request: Uuid) -> Value {
    let body = json!({"flow": flow, "flow_request": request});
    let answer = api
        .call("POST", "/api/v1/flow_runs/", token, Some(body))
        .await;
    answer.expect(200).body
}

fn within(flow: Uuid, more: Value) -> Value {
    let mut body = json!({"flow": flow, "flow_version": 1, "bounds": {
        "type": "object",
        "properties": {"amount": {"type": "integer", "maximum": 10}},
        "required": ["amount"],
    }});
    for (name, value) in more.as_object().unwrap() {
        body[name] = value.clone();
    }
    body
}

async fn ask(api: &Api, body: Value) -> Answer {
    api.call("POST", PATH, &ada(api), Some(body)).await
}

async fn approve(api: &Api, id: Uuid, token: &str) -> Answer {
    let path = format!("{PATH}approve?id={id}");
    api.call("PUT", &path, token, None).await
}

/// A standing approval that is in force.
async fn active(api: &Api, body: Value) -> Uuid {
    let id = ask(api, body).await.expect(200).id();
    let view = approve(api, id, &eve(api)).await.expect(200).body;
    assert_eq!(view["state"], "active");
    id
}

fn started(run: &Value) -> bool {
    run["status"] == "in_progress"
}

#[tokio::test]
async fn it_starts_what_it_covers_and_nothing_else() {
    let api = Api::start().await;
    let flow = flow(&api, json!({"standing": true})).await;
    let id = active(&api, within(flow, json!({"max_runs": 2}))).await;
    let (few, many) = (
        request(&api, json!(5)).await,
        request(&api, json!(50)).await,
    );
    let word = request(&api, json!("5")).await;
    for other in [many, word] {
        assert!(!started(&run(&api, &ada(&api), flow, other).await));
    }
    let own = run(&api, &eve(&api), flow, few).await;
    assert!(
        !started(&own),
        "who approved it does not start their own run"
    );
    let first = run(&api, &ada(&api), flow, few).await;
    assert!(started(&first), "{first}");
    assert_eq!(first["approved_by"], json!({"standing_approval": id}));
    let path = format!("/api/v1/flow_runs/?id={}", first["id"].as_str().unwrap());
    let read = api
        .call("GET", &path, &ada(&api), None)
        .await
        .expect(200)
        .body;
    assert_eq!(read["approved_by"], first["approved_by"]);
    assert!(started(&run(&api, &ada(&api), flow, few).await));
    assert!(!started(&run(&api, &ada(&api), flow, few).await), "used up");
    let list = api
        .call("GET", &format!("{PATH}all"), &ada(&api), None)
        .await
        .expect(200)
        .body;
    assert_eq!(
        (&list[0]["used"], &list[0]["uses_left"]),
        (&json!(2), &json!(0))
    );
    assert_eq!(list[0]["state"], "used_up");
    assert_eq!(list[0]["approvals"][0]["email"], "eve@example.com");
    for (what, times) in [
        ("standing_approve", 1),
        ("standing_active", 1),
        ("start", 2),
    ] {
        let sql = format!(
            "SELECT count(*) FROM decisions WHERE what = '{what}' AND result LIKE '%standing approval {id}%'"
        );
        assert_eq!(api.count(&sql).await, times, "{what}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn of_fifty_runs_at_once_only_ten_start() {
    let api = Api::start().await;
    let other = api.another().await;
    let flow = flow(&api, json!({"standing": true})).await;
    active(&api, within(flow, json!({"max_runs": 10}))).await;
    let (request, token) = (request(&api, json!(5)).await, ada(&api));
    let calls = (0..50).map(|at| {
        let api = if at % 2 == 0 { &api } else { &other };
        run(api, &token, flow, request)
    });
    let runs = join_all(calls).await;
    assert_eq!(runs.iter().filter(|run| started(run)).count(), 10);
    for (sql, count) in [
        ("SELECT used FROM standing_approvals", 10),
        ("SELECT count(*) FROM standing_uses", 10),
        ("SELECT count(*) FROM asks", 40),
        ("SELECT count(*) FROM live_runs WHERE phase = 'ready'", 10),
    ] {
        assert_eq!(api.count(sql).await, count, "{sql}");
    }
}

#[tokio::test]
async fn what_ended_was_revoked_or_is_of_an_earlier_version_starts_nothing() {
    let api = Api::start().await;
    let flow = flow(&api, json!({"standing": true})).await;
    let request = request(&api, json!(5)).await;
    active(&api, within(flow, json!({"ends": "2100-01-01T00:00:00Z"}))).await;
    assert!(started(&run(&api, &ada(&api), flow, request).await));
    api.execute("UPDATE standing_approvals SET ends_at = 1".to_owned())
        .await;
    assert!(
        !started(&run(&api, &ada(&api), flow, request).await),
        "it ended"
    );
    let id = active(&api, within(flow, json!({"max_runs": 5}))).await;
    assert!(started(&run(&api, &ada(&api), flow, request).await));
    let path = format!("{PATH}?id={id}");
    let other = api.token_of("eve@other.example", Some("org_b"), &Permission::ALL);
    api.call("DELETE", &path, &other, None).await.expect(404);
    for _ in 0..2 {
        let view = api
            .call("DELETE", &path, &eve(&api), None)
            .await
            .expect(200)
            .body;
        assert_eq!(view["state"], "revoked");
    }
    assert!(
        !started(&run(&api, &ada(&api), flow, request).await),
        "it was revoked"
    );
    let revokes = "SELECT count(*) FROM decisions WHERE what = 'standing_revoke'";
    assert_eq!(api.count(revokes).await, 1);
    approve(&api, id, &token(&api, "tom@example.com", &[Approve]))
        .await
        .expect(409);
    active(&api, within(flow, json!({"max_runs": 5}))).await;
    let root = token(&api, "root@example.com", &[Read, Write, Admin]);
    let mut body = api.flow_body().await;
    body["id"] = json!(flow);
    body["name"] = json!("Another Flow");
    body["approval"] = json!({"standing": true});
    api.call("PUT", "/api/v1/flows/", &root, Some(body))
        .await
        .expect(200);
    assert!(
        !started(&run(&api, &ada(&api), flow, request).await),
        "another version"
    );
}

#[tokio::test]
async fn it_collects_approvals_by_the_rules_of_a_run() {
    let api = Api::start().await;
    let stages = json!({"standing": true, "reason_required": true, "stages": [
        {"name": "team", "approvers": ["eve@example.com"]},
        {"name": "board", "approvers": ["tom@example.com", "eve@example.com"]},
    ]});
    let flow = flow(&api, stages).await;
    let request = request(&api, json!(5)).await;
    let id = ask(&api, within(flow, json!({"max_runs": 5})))
        .await
        .expect(200)
        .id();
    let tom = token(&api, "tom@example.com", &[Approve]);
    let own = token(&api, "ada@example.com", &[Approve]);
    let because = |token: String| {
        let path = format!("{PATH}approve?id={id}&comment=Fine");
        let api = &api;
        async move { api.call("PUT", &path, &token, None).await }
    };
    because(own).await.expect(403);
    because(tom.clone()).await.expect(403);
    assert_eq!(
        approve(&api, id, &eve(&api)).await.fault(),
        "query.comment: missing"
    );
    let view = because(eve(&api)).await.expect(200).body;
    assert_eq!(view["state"], "open");
    assert!(
        !started(&run(&api, &ada(&api), flow, request).await),
        "half approved"
    );
    because(eve(&api)).await.expect(403);
    assert_eq!(
        because(tom.clone()).await.expect(200).body["state"],
        "active"
    );
    because(tom).await.expect(200);
    assert_eq!(api.count("SELECT count(*) FROM approvals").await, 2);
    assert!(started(&run(&api, &ada(&api), flow, request).await));
    // Who tried and could not is known: ada, tom too early, eve in a second stage.
    let refused = "SELECT count(*) FROM decisions WHERE what = 'refused' AND result LIKE 'standing approval %'";
    assert_eq!(api.count(refused).await, 3);
}

#[tokio::test]
async fn one_plan_may_run_again() {
    let api = Api::start().await;
    let flow = flow(&api, json!({"standing": true})).await;
    let (this, other) = (request(&api, json!(5)).await, request(&api, json!(6)).await);
    let seen = run(&api, &ada(&api), flow, this).await;
    active(
        &api,
        json!({"flow": flow, "plan_hash": seen["plan_hash"], "max_runs": 9}),
    )
    .await;
    assert!(!started(&run(&api, &ada(&api), flow, other).await));
    let again = run(&api, &ada(&api), flow, this).await;
    assert!(started(&again), "{again}");
    assert_eq!(again["plan_hash"], seen["plan_hash"]);
}

#[tokio::test]
async fn what_cannot_be_approved_beforehand_is_refused() {
    let api = Api::start().await;
    let plain = flow(&api, json!("required")).await;
    ask(&api, within(plain, json!({"max_runs": 1})))
        .await
        .expect(409);
    let flow = flow(&api, json!({"standing": true})).await;
    let of = |more: Value| within(flow, more);
    for (body, fault) in [
        (of(json!({})), "body.max_runs: missing"),
        (
            of(json!({"max_runs": 0})),
            "body.max_runs: greater_than_equal",
        ),
        (
            of(json!({"ends": "2001-01-01T00:00:00Z"})),
            "body.ends: value_error",
        ),
        (
            of(json!({"max_runs": 1, "bounds": {"type": "string"}})),
            "body.bounds: bad_schema",
        ),
        (
            of(json!({"max_runs": 1, "flow_version": 2})),
            "body.flow_version: value_error",
        ),
        (
            of(json!({"max_runs": 1, "plan_hash": "a".repeat(64)})),
            "body.plan_hash: extra_forbidden",
        ),
        (
            json!({"flow": flow, "max_runs": 1}),
            "body.plan_hash: missing",
        ),
        (
            json!({"flow": flow, "max_runs": 1, "plan_hash": "a".repeat(64)}),
            "body.plan_hash: not_found",
        ),
        (
            json!({"flow": flow, "max_runs": 1, "flow_version": 1}),
            "body.bounds: missing",
        ),
        (
            within(Uuid::nil(), json!({"max_runs": 1})),
            "body.flow: unknown_id",
        ),
    ] {
        assert_eq!(ask(&api, body.clone()).await.fault(), fault, "{body}");
    }
}
