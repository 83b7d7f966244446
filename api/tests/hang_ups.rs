//! Clients that hang up: what they asked for is done whole or not at all.

use std::future::Future;
use std::pin::pin;
use std::task::{Context, Poll, Waker};

use serde_json::{Value, json};

use crate::harness::Api;

/// Lets a call take so many steps, then drops it, as a hang-up does.
async fn cut(call: impl Future, steps: usize) {
    let mut call = pin!(call);
    for _ in 0..steps {
        if call
            .as_mut()
            .poll(&mut Context::from_waker(Waker::noop()))
            .is_ready()
        {
            return;
        }
        tokio::task::yield_now().await;
    }
    // One more time with a real waker, so that what was woken meanwhile is seen.
    std::future::poll_fn(|context| {
        let _ = call.as_mut().poll(context);
        Poll::Ready(())
    })
    .await;
}

#[tokio::test]
async fn a_run_whose_client_hung_up_at_any_point_is_whole_or_not_there() {
    let api = Api::start().await;
    let (flow, request) = (api.flow().await, api.flow_request().await);
    let body = json!({"flow": flow, "flow_request": request, "approval_status": "approved"});
    for steps in 0..60 {
        cut(api.post("/api/v1/flow_runs/", body.clone()), steps).await;
    }
    // The writer answers in order: whatever was handed in before is committed or gone.
    api.flow_request().await;
    let runs = api.count("SELECT count(*) FROM flow_runs").await;
    assert!(runs > 0, "some got through");
    for (table, column) in [
        ("live_runs", "run_id"),
        ("run_plans", "run_id"),
        ("approvals", "run_id"),
        ("outbox", "run_id"),
    ] {
        let sql =
            format!("SELECT count(*) FROM {table} WHERE {column} IN (SELECT id FROM flow_runs)");
        assert_eq!(api.count(&sql).await, runs, "{table}");
        assert_eq!(
            api.count(&format!("SELECT count(*) FROM {table}")).await,
            runs,
            "{table}"
        );
    }
    let listed = api
        .get("/api/v1/flow_runs/all?limit=1000")
        .await
        .expect(200)
        .body;
    assert!(
        listed
            .as_array()
            .unwrap()
            .iter()
            .all(|run| run["status"] == "in_progress")
    );
}

#[tokio::test]
async fn a_key_whose_client_hung_up_still_takes_effect_once() {
    let api = Api::start().await;
    let token = api.token();
    let body = json!({"request_instructions": "Process this request."});
    let call = || {
        let body = Some(body.to_string());
        let mut request = crate::harness::request("POST", "/api/v1/flow_requests/", &token, body);
        request
            .headers_mut()
            .insert("idempotency-key", "k".parse().unwrap());
        api.send(request)
    };
    for steps in 0..40 {
        cut(call(), steps).await;
    }
    let answer = call().await.expect(200);
    assert_eq!(api.count("SELECT count(*) FROM flow_requests").await, 1);
    let listed = api.get("/api/v1/flow_requests/all").await.body;
    assert_eq!(listed, Value::Array(vec![answer.body]));
}

#[tokio::test]
async fn an_approval_whose_client_hung_up_is_one_event_or_none() {
    let api = Api::start().await;
    for steps in 0..30 {
        let run = api.run().await;
        let path = format!("/api/v1/flow_runs/approve?flow_run_id={run}");
        cut(api.call("PUT", &path, &api.token(), None), steps).await;
        api.flow_request().await;
        // In one statement: the decision may be committed while this reads.
        let torn = "SELECT count(*) FROM flow_runs f WHERE 1 < (SELECT count(DISTINCT n) FROM (
            SELECT f.approval_status IS 'approved' AS n
            UNION ALL SELECT count(*) FROM approvals WHERE run_id = f.id
            UNION ALL SELECT count(*) FROM outbox WHERE run_id = f.id
            UNION ALL SELECT count(*) FROM live_runs WHERE run_id = f.id AND phase = 'ready'))";
        assert_eq!(api.count(torn).await, 0, "after {steps} steps");
    }
}
