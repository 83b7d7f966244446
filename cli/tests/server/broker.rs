//! A broker that is away makes things slower, and breaks nothing.

use std::time::Duration;

use serde_json::{Value, json};

use crate::harness::Place;

/// An answer of a worker's own address.
async fn answer(url: &str) -> (u16, String) {
    let response = reqwest::get(url).await.unwrap();
    (response.status().as_u16(), response.text().await.unwrap())
}

/// A port that nobody listens on.
fn free_port() -> u16 {
    let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    listener.local_addr().unwrap().port()
}

#[tokio::test]
#[ignore = "needs NEENA_TEST_STACK=cluster"]
async fn with_the_broker_down_everything_starts_and_runs_end() {
    let mut place = Place::cluster();
    let nobody = format!("amqp://guest:guest@127.0.0.1:{}/%2f", free_port());
    place.set("NEENA_AMQP_URL", &nobody);
    let watched = format!("127.0.0.1:{}", free_port());
    place.set("NEENA_METRICS_BIND", &watched);
    let api = place.api();
    let _worker = place.worker("the only one");
    let flow = api
        .flow("no broker", &[("core.echo", json!({ "n": 1 }), &[])])
        .await;
    let run = api.run(&flow).await;
    api.approve(&run).await;
    let ended = api.ended(&run, Duration::from_secs(20)).await;
    assert_eq!(ended["status"], "completed", "{ended:#}");
    let (status, said) = answer(&format!("http://{watched}/readyz")).await;
    let said: Value = serde_json::from_str(&said).unwrap();
    assert_eq!(
        (status, &said["status"]),
        (200, &json!("degraded")),
        "{said}"
    );
    assert!(
        said["reason"].as_str().unwrap().contains("broker"),
        "{said}"
    );
}

#[tokio::test]
#[ignore = "needs NEENA_TEST_STACK=cluster"]
async fn a_worker_shows_its_metrics_and_that_it_is_ready() {
    let mut place = Place::cluster();
    let watched = format!("127.0.0.1:{}", free_port());
    place.set("NEENA_METRICS_BIND", &watched);
    place.set("NEENA_WORKER_CONCURRENCY", "3");
    let api = place.api();
    let _worker = place.worker("the only one");
    let flow = api
        .flow("counted", &[("core.echo", json!({ "n": 1 }), &[])])
        .await;
    let run = api.run(&flow).await;
    api.approve(&run).await;
    api.ended(&run, Duration::from_secs(20)).await;
    let (status, said) = answer(&format!("http://{watched}/readyz")).await;
    assert_eq!((status, said.as_str()), (200, r#"{"status":"ready"}"#));
    assert_eq!(answer(&format!("http://{watched}/healthz")).await.0, 200);
    let (status, said) = answer(&format!("http://{watched}/metrics")).await;
    assert_eq!(status, 200);
    for line in [
        "neena_slots 3",
        "neena_approve_to_start_seconds_count 1",
        r#"neena_approve_to_start_seconds_bucket{le="60"} 1"#,
    ] {
        assert!(said.lines().any(|found| found == line), "{line} in\n{said}");
    }
}
