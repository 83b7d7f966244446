//! `kill -9` at any moment loses nothing and records nothing twice.

use std::collections::{BTreeMap, BTreeSet};
use std::time::{Duration, Instant};

use serde_json::{Value, json};

use crate::harness::{Place, Server, lines};

/// As many as the issue of durability asks for; `NEENA_TEST_KILLS` makes it longer.
fn kills() -> u32 {
    std::env::var("NEENA_TEST_KILLS")
        .ok()
        .and_then(|text| text.parse().ok())
        .unwrap_or(20)
}

const RUNS: usize = 200;

/// What was seen of outcomes: an outcome, once seen, never changes.
#[derive(Default)]
struct Seen(BTreeMap<(String, u64), (Value, Value, Value)>);

impl Seen {
    fn check(&mut self, run: &Value) {
        for task in run["task_runs"].as_array().unwrap() {
            let status = task["status"].as_str().unwrap();
            if matches!(status, "pending" | "in_progress") {
                continue;
            }
            let index = task["task_operation_index"].as_u64().unwrap();
            let key = (run["id"].as_str().unwrap().to_owned(), index);
            let outcome = (
                task["status"].clone(),
                task["result"].clone(),
                task["end_time"].clone(),
            );
            let first = self.0.entry(key.clone()).or_insert_with(|| outcome.clone());
            assert_eq!(*first, outcome, "a second outcome was recorded for {key:?}");
        }
    }

    async fn look(&mut self, server: &Server) -> usize {
        let all = server.get("/flow_runs/all?limit=1000").await;
        let runs = all.as_array().unwrap();
        runs.iter().for_each(|run| self.check(run));
        runs.iter()
            .filter(|run| run["status"] == "completed" || condemned(run))
            .count()
    }
}

/// A run that was caught by three kills in a row before it could record anything looks as if it had
/// caused them, and is ended as that.
fn condemned(run: &Value) -> bool {
    run["status"] == "failed" && run["reason"] == "worker_crash"
}

fn put<'a>(file: &str, inputs: &'a [usize]) -> (&'static str, Value, &'a [usize]) {
    ("put", json!({ "file": file }), inputs)
}

#[tokio::test]
async fn runs_end_once_whenever_the_server_is_killed() {
    let mut place = Place::with_sink();
    // Few slots, so that there is work left until the last kill.
    place.set("NEENA_WORKER_CONCURRENCY", "4");
    let sink = place.path("sink.txt");
    let file = sink.display().to_string();
    let mut server = place.serve();
    let flow = server
        .flow(
            "crash me",
            &[
                ("core.echo", json!({ "n": 1 }), &[]),
                put(&file, &[0]),
                ("core.sleep", json!({ "seconds": 0.12 }), &[0]),
                put(&file, &[1, 2]),
                (
                    "core.evaluate",
                    json!({ "expression": "tasks.step_3.result ~ '!'" }),
                    &[3],
                ),
                put(&file, &[4]),
            ],
        )
        .await;
    let mut runs = Vec::new();
    for _ in 0..RUNS {
        runs.push(server.run(&flow).await);
    }
    futures_util::future::join_all(runs.iter().map(|run| server.approve(run))).await;
    let mut seen = Seen::default();
    // Different at each run of the test, and printed, so that a bad moment can be met again.
    let mut state = std::process::id();
    println!("moments from seed {state}");
    let mut struck = 0;
    for _ in 0..kills() {
        state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
        let moment = Instant::now() + Duration::from_millis(u64::from(state >> 16) % 400);
        let mut completed = seen.look(&server).await;
        while Instant::now() < moment {
            completed = seen.look(&server).await;
        }
        struck += u32::from(completed < RUNS);
        server.kill();
        server = place.serve();
    }
    assert!(
        struck * 4 >= kills() * 3,
        "only {struck} kills met runs under way"
    );
    let deadline = Instant::now() + Duration::from_secs(120);
    while seen.look(&server).await < RUNS {
        assert!(Instant::now() < deadline, "not all runs have ended");
    }
    let all = server.get("/flow_runs/all?limit=1000").await;
    let unlucky: Vec<&Value> = all
        .as_array()
        .unwrap()
        .iter()
        .filter(|run| condemned(run))
        .collect();
    println!(
        "{struck} kills met runs under way; {} runs were condemned",
        unlucky.len()
    );
    for run in &unlucky {
        let id = run["id"].as_str().unwrap();
        server
            .put(&format!("/flow_runs/retry?flow_run_id={id}"))
            .await;
        let ended = server.ended(id, Duration::from_secs(20)).await;
        assert_eq!(ended["status"], "completed", "{ended:#}");
    }
    let unlucky = unlucky.len();
    assert!(unlucky <= RUNS / 20, "too many runs were condemned");
    assert!(
        seen.0.len() >= (RUNS - unlucky) * 6,
        "one outcome per task of each run"
    );
    let keys: BTreeSet<String> = lines(&sink).into_iter().collect();
    assert_eq!(
        keys.len(),
        RUNS * 3,
        "each effect happened, under its own key"
    );
    for run in runs {
        let view = server
            .get(&format!("/flow_runs/with_flow_result?id={run}"))
            .await;
        assert!(view["flow_result"].is_object(), "no flow result for {run}");
    }
}
