//! Starting, stopping and starting again.

use std::time::Duration;

use serde_json::json;

use crate::harness::Place;

#[tokio::test]
async fn a_flow_runs_end_to_end() {
    let place = Place::with_sink();
    let server = place.serve();
    let file = place.path("sink.txt").display().to_string();
    let flow = server
        .flow(
            "end to end",
            &[
                ("core.echo", json!({ "greeting": "hello" }), &[]),
                ("put", json!({ "file": file }), &[0]),
                (
                    "core.evaluate",
                    json!({ "expression": "tasks.step_0.result.greeting | upper" }),
                    &[1],
                ),
            ],
        )
        .await;
    let run = server.run(&flow).await;
    let approved = server.approve(&run).await;
    assert_eq!(approved["status"], "in_progress");
    assert_eq!(approved["approval_status"], "approved");
    let ended = server.ended(&run, Duration::from_secs(20)).await;
    assert_eq!(ended["status"], "completed", "{ended:#}");
    assert_eq!(ended["flow_result"]["body"], "HELLO");
    assert_eq!(ended["task_runs"].as_array().unwrap().len(), 3);
}

#[tokio::test]
async fn a_failed_run_is_retried_from_the_failed_task() {
    let place = Place::new();
    let server = place.serve();
    let flow = server
        .flow(
            "fails once",
            &[
                ("core.echo", json!({ "n": 1 }), &[]),
                (
                    "core.fail",
                    json!({ "message": "not yet", "times": 1 }),
                    &[0],
                ),
                ("core.echo", json!({ "done": true }), &[1]),
            ],
        )
        .await;
    let run = server.run(&flow).await;
    server.approve(&run).await;
    let failed = server.ended(&run, Duration::from_secs(20)).await;
    assert_eq!(failed["status"], "failed", "{failed:#}");
    assert!(
        failed["flow_result"]["body"]
            .as_str()
            .unwrap()
            .contains("not yet")
    );
    let first = failed["task_runs"][0].clone();
    server
        .put(&format!("/flow_runs/retry?flow_run_id={run}"))
        .await;
    let ended = server.ended(&run, Duration::from_secs(20)).await;
    assert_eq!(ended["status"], "completed", "{ended:#}");
    assert_eq!(ended["task_runs"][0], first, "what had completed was kept");
    assert_eq!(ended["task_runs"][1]["attempt"], 2);
}

#[tokio::test]
async fn a_cancelled_run_stops_its_tasks() {
    let place = Place::new();
    let server = place.serve();
    let flow = server
        .flow(
            "sleeps",
            &[
                ("core.sleep", json!({ "seconds": 60 }), &[]),
                ("core.echo", json!({}), &[0]),
            ],
        )
        .await;
    let run = server.run(&flow).await;
    server.approve(&run).await;
    let cancelled = server
        .put(&format!("/flow_runs/cancel?flow_run_id={run}"))
        .await;
    assert_eq!(cancelled["status"], "cancelled");
    let ended = server.ended(&run, Duration::from_secs(5)).await;
    assert!(
        ended["task_runs"].as_array().unwrap().len() <= 1,
        "{ended:#}"
    );
}

#[test]
fn a_second_server_on_the_same_data_is_refused() {
    let place = Place::on_sqlite();
    let _server = place.serve();
    let second = place
        .neena()
        .args(["serve", "--bind", "127.0.0.1:0"])
        .output()
        .unwrap();
    assert!(!second.status.success());
    let said = String::from_utf8_lossy(&second.stderr).into_owned();
    assert!(said.contains("in use by another neena"), "{said}");
}

#[tokio::test]
async fn a_stop_gives_unfinished_runs_back_and_the_next_start_finishes_them() {
    let mut place = Place::new();
    place.set("NEENA_GRACE_SECONDS", "0");
    let server = place.serve();
    let flow = server
        .flow(
            "sleeps",
            &[
                ("core.sleep", json!({ "seconds": 1 }), &[]),
                ("core.echo", json!({ "n": 1 }), &[0]),
            ],
        )
        .await;
    let run = server.run(&flow).await;
    server.approve(&run).await;
    let (took, status) = server.terminate();
    assert!(status.success(), "{status}; {}", place.log());
    assert!(took < Duration::from_secs(5), "{took:?}");
    let server = place.serve();
    assert_eq!(
        server.ended(&run, Duration::from_secs(20)).await["status"],
        "completed"
    );
}
