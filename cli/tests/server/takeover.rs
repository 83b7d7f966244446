//! Several processes on one database: what one of them leaves, another goes on with.

use std::path::Path;
use std::time::{Duration, Instant};

use serde_json::{Value, json};

use crate::harness::{Place, Server, lines};

/// The lease of clusters in tests.
const LEASE: Duration = Duration::from_secs(4);

/// A run whose only task leaves a line, then takes `seconds`.
async fn hold(server: &Server, file: &Path, seconds: f64) -> String {
    let file = file.display().to_string();
    let arguments = json!({ "file": file, "seconds": seconds });
    let flow = server.flow("holds", &[("hold", arguments, &[])]).await;
    let run = server.run(&flow).await;
    server.approve(&run).await;
    run
}

/// Waits until the sink holds so many lines; how long that took.
async fn written(file: &Path, count: usize, within: Duration) -> Duration {
    let began = Instant::now();
    while lines(file).len() < count {
        assert!(
            began.elapsed() < within,
            "{:?} within {within:?}",
            lines(file)
        );
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    began.elapsed()
}

fn completed(run: &Value) {
    assert_eq!(run["status"], "completed", "{run:#}");
}

#[tokio::test]
#[ignore = "needs NEENA_TEST_STACK=cluster"]
async fn a_run_approved_at_one_api_is_run_by_a_worker_and_seen_at_another_api() {
    let place = Place::cluster();
    let (here, there) = (place.api(), place.api());
    let _worker = place.worker("the only one");
    let run = hold(&here, &place.path("sink.txt"), 0.0).await;
    completed(&there.ended(&run, Duration::from_secs(20)).await);
}

#[tokio::test]
#[ignore = "needs NEENA_TEST_STACK=cluster"]
async fn a_run_goes_on_elsewhere_soon_after_the_lease_of_a_worker_that_was_killed() {
    let place = Place::cluster();
    let api = place.api();
    let mut first = place.worker("first");
    let sink = place.path("sink.txt");
    let run = hold(&api, &sink, 0.5).await;
    written(&sink, 1, Duration::from_secs(20)).await;
    first.kill();
    let _second = place.worker("second");
    let killed = Instant::now();
    let run_again = written(&sink, 2, LEASE + Duration::from_secs(2)).await;
    println!("went on {run_again:?} after the kill");
    completed(&api.ended(&run, Duration::from_secs(10)).await);
    assert!(killed.elapsed() < LEASE + Duration::from_secs(4));
}

#[tokio::test]
#[ignore = "needs NEENA_TEST_STACK=cluster"]
async fn a_worker_that_is_told_to_stop_gives_its_runs_to_others_at_once() {
    let mut place = Place::cluster();
    place.set("NEENA_GRACE_SECONDS", "0");
    let api = place.api();
    let mut first = place.worker("first");
    let sink = place.path("sink.txt");
    let run = hold(&api, &sink, 2.0).await;
    written(&sink, 1, Duration::from_secs(20)).await;
    let _second = place.worker("second");
    first.terminate();
    let told = Instant::now();
    let went_on = written(&sink, 2, Duration::from_secs(5)).await;
    println!("went on {went_on:?} after SIGTERM");
    assert!(went_on < Duration::from_secs(1), "{went_on:?}");
    let status = first.ended();
    assert!(status.success(), "{status}; {}", place.log());
    assert!(told.elapsed() < Duration::from_secs(2), "it did not stop");
    completed(&api.ended(&run, Duration::from_secs(20)).await);
}

#[tokio::test]
#[ignore = "needs NEENA_TEST_STACK=cluster"]
async fn a_worker_that_is_told_to_stop_lets_tasks_finish_within_the_grace() {
    let mut place = Place::cluster();
    place.set("NEENA_GRACE_SECONDS", "10");
    let api = place.api();
    let mut worker = place.worker("the only one");
    let sink = place.path("sink.txt");
    let run = hold(&api, &sink, 1.0).await;
    written(&sink, 1, Duration::from_secs(20)).await;
    worker.terminate();
    let told = Instant::now();
    assert!(worker.ended().success(), "{}", place.log());
    assert!(told.elapsed() < Duration::from_secs(5));
    completed(&api.ended(&run, Duration::from_secs(1)).await);
    assert_eq!(lines(&sink).len(), 1, "it ran once");
}

#[tokio::test]
#[ignore = "needs NEENA_TEST_STACK=cluster"]
async fn two_servers_share_a_database_even_without_a_broker() {
    let mut place = Place::cluster();
    place.unset("NEENA_AMQP_URL");
    let (mut here, there) = (place.alone(), place.alone());
    let sink = place.path("sink.txt");
    let run = hold(&here, &sink, 0.5).await;
    written(&sink, 1, Duration::from_secs(20)).await;
    here.kill();
    written(&sink, 2, LEASE + Duration::from_secs(4)).await;
    completed(&there.ended(&run, Duration::from_secs(10)).await);
}
