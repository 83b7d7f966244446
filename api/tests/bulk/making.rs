//! Requests and runs that are made together.

use std::collections::HashSet;

use serde_json::{Value, json};
use uuid::Uuid;

use super::{REQUESTS, RUNS, flow, ids, of_acme, sample};
use crate::harness::{Api, faults, request};

const SOME: &str = "0192f3a4-0000-7000-8000-00000000abcd";

#[tokio::test]
async fn requests_are_made_in_order_as_single_ones_are() {
    let api = Api::start().await;
    let flow = api.flow().await;
    let body: Vec<Value> = (0..1_000)
        .map(|at| {
            json!({
                "request_instructions": format!("Process request {at}."),
                "request_metadata": [{"at": at}],
                "request_name": format!("Number {at}"),
                "flow": flow,
            })
        })
        .collect();
    let answer = api.post(REQUESTS, json!(body)).await.expect(200);
    let one = api
        .post("/api/v1/flow_requests/", body[0].clone())
        .await
        .expect(200)
        .body;
    let all = answer.body.as_array().unwrap();
    assert_eq!(all.len(), 1_000);
    for (at, view) in all.iter().enumerate() {
        assert_eq!(view["request_name"], format!("Number {at}"));
        assert_eq!(view["request_metadata"], json!([{"at": at}]));
        assert_eq!(
            view.as_object().unwrap().keys().collect::<HashSet<_>>(),
            one.as_object().unwrap().keys().collect::<HashSet<_>>(),
        );
    }
    let listed = api
        .get("/api/v1/flow_requests/all?skip=1&limit=1000")
        .await
        .expect(200);
    let mut newest_first = ids(&listed);
    newest_first.reverse();
    assert_eq!(newest_first, ids(&answer));
    assert_eq!(listed.body[999], all[0]);
}

#[tokio::test]
async fn runs_are_made_in_order_as_single_ones_are() {
    let api = Api::start().await;
    let (first, second) = (api.flow().await, api.flow().await);
    let request = api.flow_request().await;
    let body = json!([
        {"flow": first, "flow_request": request},
        {"flow": second, "flow_request": request, "triggered_time": "2026-03-01T09:30:00Z"},
        {"flow": first, "flow_request": request, "approval_status": "approved"},
        {"flow": second, "flow_request": sample()},
    ]);
    let answer = api.post(RUNS, body).await.expect(200);
    let runs = ids(&answer);
    let all = answer.body.as_array().unwrap();
    let flows: Vec<&Value> = all.iter().map(|run| &run["flow"]).collect();
    assert_eq!(
        flows,
        [&json!(first), &json!(second), &json!(first), &json!(second)]
    );
    assert_eq!(all[1]["triggered_time"], "2026-03-01T09:30:00.000000Z");
    let state = |run: &Value| [&run["status"], &run["waiting_for"]].map(Clone::clone);
    assert_eq!(state(&all[0]), ["pending", "approval"]);
    assert_eq!(state(&all[2]), ["in_progress", "worker"]);
    let made = all[3]["flow_request"].as_str().unwrap();
    assert_ne!(made, request.to_string());
    let made = api.get(&format!("/api/v1/flow_requests/?id={made}")).await;
    assert_eq!(
        made.expect(200).body["request_instructions"],
        sample()["request_instructions"]
    );
    for (run, view) in runs.iter().zip(all) {
        let read = api.get(&format!("/api/v1/flow_runs/?id={run}")).await;
        assert_eq!(&read.expect(200).body, view);
        let plan = api
            .get(&format!("/api/v1/flow_runs/plan?flow_run_id={run}"))
            .await
            .expect(200);
        assert_eq!(plan.body["plan_hash"], view["plan_hash"]);
    }
    assert_eq!(
        api.count("SELECT count(*) FROM plan_graphs").await,
        1,
        "the flows have the same tasks"
    );
    let listed = api.get("/api/v1/flow_runs/all").await.expect(200);
    let mut newest_first = ids(&listed);
    newest_first.reverse();
    assert_eq!(newest_first, runs);
}

#[tokio::test]
async fn nothing_at_all_is_made_of_nothing() {
    let api = Api::start().await;
    for path in [REQUESTS, RUNS] {
        assert_eq!(api.post(path, json!([])).await.expect(200).body, json!([]));
    }
}

#[tokio::test]
async fn one_that_is_bad_leaves_nothing_of_the_others() {
    let api = Api::start().await;
    let (flow, request) = (api.flow().await, api.flow_request().await);
    let theirs = of_acme(&api, "bob");
    let (their_flow, their_request) = (
        api.flow_of(&theirs).await,
        api.flow_request_of(&theirs).await,
    );
    let before = api.rows().await;
    let good = json!({"flow": flow, "flow_request": request});
    let answer = api
        .post(
            RUNS,
            json!([
                good,
                {"flow": SOME, "flow_request": request},
                {"flow": their_flow, "flow_request": their_request},
                {"flow": flow, "flow_request": SOME},
                {"flow": flow, "flow_request": request, "triggered_by": "eve@example.com"},
                {"flow": flow, "flow_request": {"request_instructions": "Process it.", "flow": their_flow}},
                {"flow": SOME, "flow_request": SOME, "end_time": "2026-03-01T09:30:00Z"},
            ]),
        )
        .await;
    let unknown = "unknown_id";
    let expected = faults([
        ("body.1.flow", unknown),
        ("body.2.flow", unknown),
        ("body.2.flow_request", unknown),
        ("body.3.flow_request", unknown),
        ("body.4.triggered_by", "value_error"),
        ("body.5.flow_request.flow", unknown),
        ("body.6.flow", unknown),
        ("body.6.flow_request", unknown),
        ("body.6.end_time", "none_required"),
    ]);
    assert_eq!(answer.faults(), expected);
    let answer = api
        .post(
            RUNS,
            json!([good, {"flow": flow}, 1, {"flow": flow, "flow_request": {"request_instructions": "short"}}]),
        )
        .await;
    let expected = faults([
        ("body.1.flow_request", "missing"),
        ("body.2", "dict_type"),
        (
            "body.3.flow_request.request_instructions",
            "string_too_short",
        ),
    ]);
    assert_eq!(answer.faults(), expected);
    let answer = api
        .post(
            REQUESTS,
            json!([
                sample(),
                {"request_instructions": "Process it.", "flow": their_flow, "organization": SOME},
                {"request_instructions": "Process it.", "flow": flow},
            ]),
        )
        .await;
    let expected = faults([("body.1.flow", unknown), ("body.1.organization", unknown)]);
    assert_eq!(answer.faults(), expected);
    let answer = api.post(REQUESTS, json!([sample(), {}])).await;
    assert_eq!(answer.fault(), "body.1.request_instructions: missing");
    for path in [REQUESTS, RUNS] {
        assert_eq!(api.post(path, json!({})).await.fault(), "body: list_type");
    }
    assert_eq!(api.rows().await, before);
}

#[tokio::test]
async fn a_parameter_that_nothing_fills_is_a_fault_of_its_item() {
    let api = Api::start().await;
    let evaluate = api.definition("core.evaluate").await;
    let body = json!({
        "name": "By name",
        "task_operations": [{"name": "It", "task_definition": evaluate, "index": 0}],
        "dependencies": [],
    });
    let flow = api.post("/api/v1/flows/", body).await.expect(200).id();
    let of = |metadata: Value| json!({"flow": flow, "flow_request": {"request_instructions": "Process it.", "request_metadata": [metadata]}});
    let before = api.rows().await;
    let single = api.post("/api/v1/flow_runs/", of(json!({}))).await.faults();
    let many = api
        .post(RUNS, json!([of(json!({"expression": "1"})), of(json!({}))]))
        .await
        .faults();
    assert_eq!(single.len(), 1);
    assert_eq!(many.len(), 1);
    assert_eq!(many[0].0, single[0].0.replace("body.", "body.1."));
    assert_eq!(many[0].1, single[0].1);
    assert_eq!(api.rows().await, before);
    let good = json!([
        of(json!({"expression": "1"})),
        of(json!({"expression": "2"}))
    ]);
    api.post(RUNS, good).await.expect(200);
}

#[tokio::test]
async fn a_call_has_a_thousand_items_at_most() {
    let api = Api::start().await;
    let before = api.rows().await;
    let many = vec![sample(); 1_001];
    assert_eq!(
        api.post(REQUESTS, json!(many)).await.fault(),
        "body: too_long"
    );
    let run = json!({"flow": SOME, "flow_request": SOME});
    let many = vec![run; 1_001];
    let answer = api.post(RUNS, json!(many)).await;
    assert_eq!(answer.fault(), "body: too_long");
    assert!(answer.text.contains("1000"), "{}", answer.text);
    // As large as a flow may be, and no larger.
    let large = json!([{"request_instructions": "x".repeat(8 << 20)}]);
    let answer = api.post(REQUESTS, large).await.expect(413);
    assert_eq!(
        answer.detail(),
        format!("The body is larger than {} bytes", 8 << 20)
    );
    assert_eq!(api.rows().await, before);
}

#[tokio::test]
async fn plans_that_are_too_large_together_are_refused() {
    let api = Api::start().await;
    let flow = api.flow().await;
    let large = json!({
        "request_instructions": "Process this request.",
        "request_metadata": [{"text": "x".repeat(900 << 10)}],
    });
    let request = api
        .post("/api/v1/flow_requests/", large)
        .await
        .expect(200)
        .id();
    let before = api.rows().await;
    let many = vec![json!({"flow": flow, "flow_request": request}); 40];
    let answer = api.post(RUNS, json!(many)).await;
    assert_eq!(answer.fault(), "body.36.flow_request: too_large");
    assert_eq!(api.rows().await, before);
    let few = vec![json!({"flow": flow, "flow_request": request}); 3];
    api.post(RUNS, json!(few)).await.expect(200);
}

#[tokio::test]
async fn what_may_not_be_approved_is_not_made() {
    let api = Api::start().await;
    let ada = of_acme(&api, "ada");
    let flow = flow(&api, &ada, json!("required")).await;
    let before = api.rows().await;
    let body = json!([
        {"flow": flow, "flow_request": sample()},
        {"flow": flow, "flow_request": sample(), "approval_status": "approved"},
    ]);
    let single = api
        .call("POST", "/api/v1/flow_runs/", &ada, Some(body[1].clone()))
        .await
        .expect(403);
    let many = api.call("POST", RUNS, &ada, Some(body)).await.expect(403);
    assert_eq!(many.detail(), format!("body[1]: {}", single.detail()));
    assert_eq!(api.rows().await, before);
}

#[tokio::test]
async fn a_policy_that_asks_nobody_starts_each() {
    let api = Api::start().await;
    let root = of_acme(&api, "root");
    let flow = flow(&api, &root, json!("none")).await;
    let body = vec![json!({"flow": flow, "flow_request": sample()}); 3];
    let answer = api.call("POST", RUNS, &root, Some(json!(body))).await;
    for run in answer.expect(200).body.as_array().unwrap() {
        assert_eq!(run["status"], "in_progress");
    }
    let sql = "SELECT count(*) FROM decisions WHERE what = 'start'";
    assert_eq!(api.count(sql).await, 3);
    let sql = "SELECT count(*) FROM outbox WHERE kind = 'flow_run.approved'";
    assert_eq!(api.count(sql).await, 3);
}

#[tokio::test]
async fn a_standing_approval_starts_as_many_as_it_has_left() {
    let api = Api::start().await;
    let (ada, eve) = (of_acme(&api, "ada"), of_acme(&api, "eve"));
    let root = of_acme(&api, "root");
    let flow = flow(&api, &root, json!({"standing": true})).await;
    let mut standing = Vec::new();
    for most in [2, 3] {
        let bounds = json!({"type": "object", "properties": {"n": {"maximum": 9}}});
        let body = json!({"flow": flow, "flow_version": 1, "bounds": bounds, "max_runs": most});
        let path = "/api/v1/standing_approvals/";
        let id = api
            .call("POST", path, &ada, Some(body))
            .await
            .expect(200)
            .id();
        let path = format!("{path}approve?id={id}");
        api.call("PUT", &path, &eve, None).await.expect(200);
        standing.push(id);
    }
    let of = |n: u32| {
        let request =
            json!({"request_instructions": "Process it.", "request_metadata": [{"n": n}]});
        json!({"flow": flow, "flow_request": request})
    };
    let body = json!([of(1), of(50), of(2), of(3), of(4), of(5), of(6)]);
    let answer = api.call("POST", RUNS, &ada, Some(body)).await.expect(200);
    let by: Vec<Value> = answer
        .body
        .as_array()
        .unwrap()
        .iter()
        .map(|run| {
            let started = run["status"] == "in_progress";
            assert_eq!(started, run["approved_by"].is_object(), "{run}");
            run["approved_by"]["standing_approval"].clone()
        })
        .collect();
    let (first, second) = (json!(standing[0]), json!(standing[1]));
    let none = Value::Null;
    assert_eq!(
        by,
        [
            first.clone(),
            none.clone(),
            first,
            second.clone(),
            second.clone(),
            second,
            none
        ]
    );
    assert_eq!(api.count("SELECT count(*) FROM standing_uses").await, 5);
    let used = "SELECT count(*) FROM standing_approvals WHERE used = max_runs";
    assert_eq!(api.count(used).await, 2);
}

#[tokio::test]
async fn under_a_key_many_are_made_once() {
    let api = Api::start().await;
    let flow = api.flow().await;
    let bodies = [
        (REQUESTS, json!([sample(), sample()])),
        (
            RUNS,
            json!([{"flow": flow, "flow_request": sample(), "approval_status": "approved"}]),
        ),
    ];
    for (path, body) in bodies {
        let post = async |body: &Value| {
            let mut request = request("POST", path, &api.token(), Some(body.to_string()));
            request
                .headers_mut()
                .insert("idempotency-key", path.parse().unwrap());
            api.send(request).await
        };
        let first = post(&body).await.expect(200);
        let before = api.rows().await;
        let again = post(&body).await.expect(200);
        assert_eq!(again.text, first.text);
        assert_eq!(again.headers["idempotency-replayed"], "true");
        let other = post(&json!([])).await;
        assert_eq!(
            other.fault(),
            "header.idempotency-key: idempotency_key_reused"
        );
        assert_eq!(api.rows().await, before);
    }
}

#[tokio::test]
async fn a_run_takes_a_new_request_by_itself_too() {
    let api = Api::start().await;
    let flow = api.flow().await;
    let body = json!({"flow": flow, "flow_request": sample()});
    let run = api.post("/api/v1/flow_runs/", body).await.expect(200).body;
    let id = run["flow_request"].as_str().unwrap();
    let read = api.get(&format!("/api/v1/flow_requests/?id={id}")).await;
    assert_eq!(
        read.expect(200).body["request_instructions"],
        sample()["request_instructions"]
    );
    let before = api.rows().await;
    let wrong = [
        (
            json!({"flow": flow, "flow_request": {}}),
            "body.flow_request.request_instructions: missing",
        ),
        (
            json!({"flow": flow, "flow_request": "x"}),
            "body.flow_request: uuid_parsing",
        ),
        (
            json!({"flow": flow, "flow_request": null}),
            "body.flow_request: string_type",
        ),
        (
            json!({"flow": flow, "flow_request": {"request_instructions": "Process it.", "organization": Uuid::nil()}}),
            "body.flow_request.organization: unknown_id",
        ),
    ];
    for (body, fault) in wrong {
        assert_eq!(api.post("/api/v1/flow_runs/", body).await.fault(), fault);
    }
    assert_eq!(api.rows().await, before);
}
