//! What operators see: whether requests are served, and what was counted.

use std::sync::Arc;
use std::time::Duration;

use axum::body::Body;
use axum::http::Request;
use neena_api::auth::Permission;
use neena_api::serve;
use neena_bus::Standing;
use serde_json::json;
use tokio_util::sync::CancellationToken;

use crate::harness::{Answer, Api, Setup};
use crate::troubled::{Trouble, Troubled};

async fn public(api: &Api, path: &str) -> Answer {
    let request = Request::builder().uri(path).body(Body::empty()).unwrap();
    api.send(request).await
}

#[tokio::test]
async fn a_server_whose_database_and_broker_answer_is_ready() {
    let api = Api::start().await;
    // A broker in another process is connected to behind our back.
    let deadline = tokio::time::Instant::now() + Duration::from_secs(20);
    loop {
        let answer = public(&api, "/readyz").await.expect(200);
        if answer.body == json!({"status": "ready"}) {
            return;
        }
        assert!(tokio::time::Instant::now() < deadline, "{}", answer.text);
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
}

#[tokio::test]
async fn without_its_broker_a_server_is_degraded_and_says_no_more_than_that() {
    for (standing, reason) in [
        (
            Standing::Down("amqp://secret@10.0.0.1 refused".to_owned()),
            "the broker does not answer",
        ),
        (
            Standing::Blocked("low on disk: /var/secret".to_owned()),
            "the broker takes no messages",
        ),
    ] {
        let api = Api::start_with(Setup {
            bus: Arc::new(Troubled::new(Trouble::Fails, standing)),
            ..Setup::default()
        })
        .await;
        let answer = public(&api, "/readyz").await.expect(200);
        assert_eq!(
            answer.body,
            json!({"status": "degraded", "reasons": [reason]})
        );
    }
}

#[tokio::test]
async fn without_its_database_a_server_is_not_ready_and_still_alive() {
    let api = Api::start().await;
    public(&api, "/readyz").await.expect(200);
    api.db.close().await;
    // What the database said is believed for a second.
    let deadline = tokio::time::Instant::now() + Duration::from_secs(20);
    let answer = loop {
        let answer = public(&api, "/readyz").await;
        if answer.status == 503 {
            break answer;
        }
        assert!(tokio::time::Instant::now() < deadline, "{}", answer.text);
        tokio::time::sleep(Duration::from_millis(50)).await;
    };
    assert_eq!(
        answer.body,
        json!({"status": "unready", "reasons": ["the database does not answer"]})
    );
    public(&api, "/healthz").await.expect(200);
}

#[tokio::test]
async fn a_server_that_stops_is_not_ready() {
    let api = Api::start().await;
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let stop = CancellationToken::new();
    let served = tokio::spawn(serve(listener, api.app.clone(), stop.clone()));
    stop.cancel();
    served.await.unwrap();
    let answer = public(&api, "/readyz").await.expect(503);
    assert_eq!(answer.body["reasons"], json!(["the process is stopping"]));
}

#[tokio::test]
async fn probes_ask_the_database_once_a_second() {
    let api = Api::start().await;
    public(&api, "/readyz").await.expect(200);
    api.db.close().await;
    let start = std::time::Instant::now();
    let answer = public(&api, "/readyz").await;
    if start.elapsed() < Duration::from_millis(500) {
        answer.expect(200);
    }
}

#[tokio::test]
async fn metrics_are_for_operators() {
    let api = Api::start().await;
    public(&api, "/metrics").await.expect(401);
    let tenant = [Permission::Read, Permission::Write, Permission::Approve];
    let token = api.token_of("eve@other.example", Some("org_other"), &tenant);
    api.call("GET", "/metrics", &token, None).await.expect(403);
    let admin = api.token_of("ops@example.com", None, &[Permission::Admin]);
    let answer = api.call("GET", "/metrics", &admin, None).await.expect(200);
    assert_eq!(answer.text, "neena_http_requests_total 1\n");
    assert_eq!(
        answer.headers["content-type"],
        "text/plain; version=0.0.4; charset=utf-8"
    );
}
