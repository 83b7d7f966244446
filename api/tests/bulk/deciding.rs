//! Plans of many runs, approved or rejected in one call.

use std::time::Duration;

use futures_util::future::join_all;
use neena_api::auth::Permission::{Read, Write};
use serde_json::{Value, json};
use tokio::time::timeout;
use uuid::Uuid;

use super::{APPROVE, REJECT, about, flow, of_acme, told, waiting};
use crate::harness::{Api, literal};

/// How long two calls may take that wait for each other's rows.
const DEADLINE: Duration = Duration::from_secs(30);

/// Entries of the decision log about a run, the oldest first, as `what: result`.
async fn log(api: &Api, token: &str, run: Uuid) -> Vec<String> {
    let path = format!("/api/v1/decisions/all?flow_run_id={run}");
    let answer = api.call("GET", &path, token, None).await.expect(200);
    let entries = answer.body.as_array().unwrap().iter().rev();
    entries
        .map(|entry| {
            let word = |field: &str| entry[field].as_str().unwrap_or("-").to_owned();
            format!("{}: {}", word("what"), word("result"))
        })
        .collect()
}

async fn starts(api: &Api, run: Uuid) -> i64 {
    let run = literal(run);
    let sql =
        format!("SELECT count(*) FROM outbox WHERE kind = 'flow_run.approved' AND run_id = {run}");
    api.count(&sql).await
}

#[tokio::test]
async fn a_thousand_are_approved_in_order_each_with_its_entry_and_its_message() {
    let api = Api::start().await;
    let (ada, bob) = (of_acme(&api, "ada"), of_acme(&api, "bob"));
    let flow = flow(&api, &ada, json!("required")).await;
    let mut runs = waiting(&api, &ada, flow, 1_000).await;
    // Not in the order of their ids.
    runs.reverse();
    runs.rotate_left(301);
    let answer = api.call("PUT", APPROVE, &bob, Some(about(&runs))).await;
    let answer = answer.expect(200);
    let all = answer.body.as_array().unwrap();
    assert_eq!(all.len(), runs.len());
    for (run, one) in runs.iter().zip(all) {
        assert_eq!(one["flow_run_id"], json!(run));
        assert_eq!(one["status"], 200);
        assert_eq!(one["flow_run"]["id"], json!(run));
        assert_eq!(one["flow_run"]["status"], "in_progress");
        assert_eq!(one["flow_run"]["approval_status"], "approved");
    }
    for (sql, expected) in [
        (
            "SELECT count(DISTINCT run_id) FROM decisions WHERE what = 'approve' AND actor_email = 'bob@example.com'",
            1_000,
        ),
        ("SELECT count(*) FROM decisions", 1_000),
        (
            "SELECT count(DISTINCT run_id) FROM outbox WHERE kind = 'flow_run.approved'",
            1_000,
        ),
        ("SELECT count(*) FROM outbox", 1_000),
        ("SELECT count(*) FROM approvals", 1_000),
        (
            "SELECT count(*) FROM live_runs WHERE phase = 'ready' AND approved_hash = plan_hash AND ready_at IS NOT NULL",
            1_000,
        ),
        (
            "SELECT count(*) FROM flow_runs WHERE approved_hash = plan_hash AND status = 'in_progress'",
            1_000,
        ),
        ("SELECT count(*) FROM asks", 0),
    ] {
        assert_eq!(api.count(sql).await, expected, "{sql}");
    }
    // As a single call leaves it.
    let single = waiting(&api, &ada, flow, 1).await[0];
    let path = format!("/api/v1/flow_runs/approve?flow_run_id={single}");
    let alone = api.call("PUT", &path, &bob, None).await.expect(200).body;
    let mut among = all[7]["flow_run"].clone();
    for field in ["id", "flow_request", "triggered_time", "plan_hash"] {
        among[field] = alone[field].clone();
    }
    assert_eq!(among, alone);
    assert_eq!(
        log(&api, &ada, runs[7]).await,
        log(&api, &ada, single).await
    );
}

#[tokio::test]
async fn one_that_is_refused_leaves_the_others_alone() {
    let api = Api::start().await;
    let (ada, bob) = (of_acme(&api, "ada"), of_acme(&api, "bob"));
    let flow = flow(&api, &ada, json!("required")).await;
    let runs = waiting(&api, &ada, flow, 5).await;
    let own = waiting(&api, &bob, flow, 1).await[0];
    let theirs = api.run().await;
    let nowhere = Uuid::now_v7();
    let cancel = format!("/api/v1/flow_runs/cancel?flow_run_id={}", runs[2]);
    api.call("PUT", &cancel, &ada, None).await.expect(200);
    let path = format!("/api/v1/flow_runs/?id={}", runs[3]);
    let plan_hash = api.call("GET", &path, &ada, None).await.expect(200).body["plan_hash"].clone();
    let body = json!([
        {"flow_run_id": nowhere},
        {"flow_run_id": runs[0], "comment": "Looked at."},
        {"flow_run_id": own},
        {"flow_run_id": theirs},
        {"flow_run_id": runs[1], "plan_hash": "0".repeat(64)},
        {"flow_run_id": runs[2]},
        {"flow_run_id": runs[3], "plan_hash": plan_hash},
        {"flow_run_id": runs[4], "stage": "nobody"},
    ]);
    let answer = api.call("PUT", APPROVE, &bob, Some(body)).await.expect(200);
    let told = told(&answer);
    // What calls of their own are told.
    let mut alone = Vec::new();
    for (run, query) in [
        (nowhere, String::new()),
        (own, String::new()),
        (theirs, String::new()),
        (runs[1], format!("&plan_hash={}", "0".repeat(64))),
        (runs[2], String::new()),
        (runs[4], "&stage=nobody".to_owned()),
    ] {
        let path = format!("/api/v1/flow_runs/approve?flow_run_id={run}{query}");
        let answer = api.call("PUT", &path, &bob, None).await;
        alone.push(format!("{} {}", answer.status.as_u16(), answer.detail()));
    }
    let statuses: Vec<&str> = alone.iter().map(|word| &word[..3]).collect();
    assert_eq!(statuses, ["404", "403", "404", "412", "409", "409"]);
    assert_eq!(
        told,
        [
            alone[0].as_str(),
            "200",
            &alone[1],
            &alone[2],
            &alone[3],
            &alone[4],
            "200",
            &alone[5]
        ]
    );
    for (run, expected) in [
        (runs[0], 1),
        (runs[1], 0),
        (runs[3], 1),
        (runs[4], 0),
        (own, 0),
    ] {
        assert_eq!(starts(&api, run).await, expected);
    }
    let sql = "SELECT count(*) FROM decisions WHERE comment = 'Looked at.' AND what = 'approve'";
    assert_eq!(api.count(sql).await, 1);
    // Whoever tried is in the log, each time.
    let refused = log(&api, &ada, own).await;
    assert_eq!(refused.len(), 2, "{refused:?}");
    assert_eq!(refused[0], refused[1]);
}

#[tokio::test]
async fn a_run_named_twice_is_decided_about_twice() {
    let api = Api::start().await;
    let (ada, bob) = (of_acme(&api, "ada"), of_acme(&api, "bob"));
    let flow = flow(&api, &ada, json!("required")).await;
    let runs = waiting(&api, &ada, flow, 2).await;
    let [a, b] = [runs[0], runs[1]];
    let body = about(&[a, b, a, a]);
    let answer = api.call("PUT", APPROVE, &bob, Some(body)).await.expect(200);
    assert_eq!(told(&answer), ["200", "200", "200", "200"]);
    for run in [a, b] {
        assert_eq!(starts(&api, run).await, 1);
        assert_eq!(log(&api, &ada, run).await, ["approve: approved"]);
    }
    let body = json!([{"flow_run_id": a}, {"flow_run_id": a, "plan_hash": "0".repeat(64)}]);
    let answer = api.call("PUT", APPROVE, &bob, Some(body)).await.expect(200);
    assert_eq!(told(&answer)[0], "200");
    assert!(told(&answer)[1].starts_with("412"), "{}", answer.text);
}

#[tokio::test]
async fn two_votes_take_two_people() {
    let api = Api::start().await;
    let (ada, bob, eve) = (
        of_acme(&api, "ada"),
        of_acme(&api, "bob"),
        of_acme(&api, "eve"),
    );
    let flow = flow(&api, &ada, json!({"count": 2})).await;
    let runs = waiting(&api, &ada, flow, 3).await;
    let first = api
        .call("PUT", APPROVE, &bob, Some(about(&runs)))
        .await
        .expect(200);
    for one in first.body.as_array().unwrap() {
        assert_eq!(one["status"], 200);
        assert_eq!(one["flow_run"]["status"], "pending");
        assert_eq!(one["flow_run"]["waiting_for"], "approval");
    }
    assert_eq!(api.count("SELECT count(*) FROM outbox").await, 0);
    let again = api
        .call("PUT", APPROVE, &bob, Some(about(&runs)))
        .await
        .expect(200);
    assert_eq!(again.body, first.body);
    let last = api
        .call("PUT", APPROVE, &eve, Some(about(&runs)))
        .await
        .expect(200);
    for (run, one) in runs.iter().zip(last.body.as_array().unwrap()) {
        assert_eq!(one["flow_run"]["status"], "in_progress");
        assert_eq!(starts(&api, *run).await, 1);
        let entries = log(&api, &ada, *run).await;
        assert_eq!(entries.len(), 2, "{entries:?}");
    }
}

#[tokio::test]
async fn stages_and_reasons_are_asked_for_as_ever() {
    let api = Api::start().await;
    let (ada, bob, eve) = (
        of_acme(&api, "ada"),
        of_acme(&api, "bob"),
        of_acme(&api, "eve"),
    );
    let approval = json!({
        "stages": [
            {"name": "team", "approvers": ["bob@example.com"]},
            {"name": "finance", "approvers": ["eve@example.com"]},
        ],
        "reason_required": true,
    });
    let flow = flow(&api, &ada, approval).await;
    let runs = waiting(&api, &ada, flow, 2).await;
    let body = json!([{"flow_run_id": runs[0]}, {"flow_run_id": runs[1], "comment": "Fine."}]);
    let answer = api.call("PUT", APPROVE, &bob, Some(body)).await.expect(200);
    let [first, second] = [&answer.body[0], &answer.body[1]];
    assert_eq!(first["status"], 422);
    assert_eq!(first["detail"][0]["loc"], json!(["body", 0, "comment"]));
    assert_eq!(second["flow_run"]["status"], "pending");
    let reasons = |of: &[Uuid]| {
        let all = of
            .iter()
            .map(|run| json!({"flow_run_id": run, "comment": "Fine."}));
        Value::Array(all.collect())
    };
    let answer = api
        .call("PUT", APPROVE, &eve, Some(reasons(&runs)))
        .await
        .expect(200);
    assert!(told(&answer)[0].starts_with("403"), "{}", answer.text);
    assert_eq!(told(&answer)[1], "200");
    assert_eq!(answer.body[1]["flow_run"]["status"], "in_progress");
}

#[tokio::test]
async fn rejected_together_they_end_together() {
    let api = Api::start().await;
    let (ada, bob) = (of_acme(&api, "ada"), of_acme(&api, "bob"));
    let flow = flow(&api, &ada, json!("required")).await;
    let runs = waiting(&api, &ada, flow, 3).await;
    let body = json!([
        {"flow_run_id": runs[0], "comment": "No."},
        {"flow_run_id": runs[1]},
        {"flow_run_id": Uuid::nil()},
    ]);
    let answer = api.call("PUT", REJECT, &bob, Some(body)).await.expect(200);
    assert_eq!(told(&answer), ["200", "200", "404 Flow run not found"]);
    for one in answer.body.as_array().unwrap().iter().take(2) {
        assert_eq!(one["flow_run"]["status"], "cancelled");
        assert_eq!(one["flow_run"]["approval_status"], "rejected");
    }
    assert_eq!(
        answer.body[0]["flow_run"]["reason"],
        "rejected by bob@example.com: No."
    );
    let path = format!("/api/v1/flow_runs/with_flow_result?id={}", runs[0]);
    let ended = api.call("GET", &path, &ada, None).await.expect(200).body;
    let body = ended["flow_result"]["body"].as_str().unwrap();
    assert!(body.contains("rejected by bob@example.com"), "{body}");
    assert_eq!(api.count("SELECT count(*) FROM live_runs").await, 1);
    let sql = "SELECT count(*) FROM outbox WHERE kind = 'flow_run.rejected'";
    assert_eq!(api.count(sql).await, 2);
    let answer = api
        .call("PUT", APPROVE, &bob, Some(about(&runs)))
        .await
        .expect(200);
    let told = told(&answer);
    assert!(told[0].starts_with("409"), "{told:?}");
    assert_eq!(told[2], "200");
}

#[tokio::test]
async fn changed_code_is_not_approved() {
    let api = Api::start().await;
    let runs = [api.run().await, api.run().await];
    api.execute("UPDATE task_definitions SET code_digest = 'other'".to_owned())
        .await;
    let answer = api.put(APPROVE, about(&runs)).await.expect(200);
    let told = told(&answer);
    assert!(told.iter().all(|word| word.starts_with("409")), "{told:?}");
    assert_eq!(api.count("SELECT count(*) FROM outbox").await, 0);
}

#[tokio::test]
async fn a_call_that_is_malformed_decides_nothing() {
    let api = Api::start().await;
    let run = api.run().await;
    for path in [APPROVE, REJECT] {
        let long = vec![json!({"flow_run_id": run}); 1_001];
        assert_eq!(api.put(path, json!(long)).await.fault(), "body: too_long");
        let answer = api
            .put(
                path,
                json!([{"flow_run_id": run}, {}, {"flow_run_id": "x"}, {"flow_run_id": run, "plan_hash": "12"}]),
            )
            .await;
        let places: Vec<String> = answer
            .faults()
            .into_iter()
            .map(|(place, _)| place)
            .collect();
        assert_eq!(
            places,
            [
                "body.1.flow_run_id",
                "body.2.flow_run_id",
                "body.3.plan_hash"
            ]
        );
        assert_eq!(api.put(path, json!([])).await.expect(200).body, json!([]));
        let reader = api.token_of("ada@example.com", None, &[Read, Write]);
        api.call("PUT", path, &reader, Some(about(&[run])))
            .await
            .expect(403);
    }
    assert_eq!(api.count("SELECT count(*) FROM decisions").await, 0);
}

/// Calls that lock the same runs, named in opposite order, and a run that a single call is about as well.
#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn two_that_name_the_same_runs_crosswise_both_end_and_each_run_starts_once() {
    let api = Api::start().await;
    let ada = of_acme(&api, "ada");
    let flow = flow(&api, &ada, json!("required")).await;
    for _ in 0..5 {
        let runs = waiting(&api, &ada, flow, 200).await;
        let mut backwards = runs.clone();
        backwards.reverse();
        let (bob, eve, joe) = (
            of_acme(&api, "bob"),
            of_acme(&api, "eve"),
            of_acme(&api, "joe"),
        );
        let single = format!("/api/v1/flow_runs/approve?flow_run_id={}", runs[100]);
        let calls = [
            api.call("PUT", APPROVE, &bob, Some(about(&runs))),
            api.call("PUT", APPROVE, &eve, Some(about(&backwards))),
            api.call("PUT", &single, &joe, None),
        ];
        let answers = timeout(DEADLINE, join_all(calls)).await.unwrap();
        let mut done = u16::from(answers[2].status.as_u16() == 200);
        for answer in &answers[..2] {
            let told = told(answer);
            assert!(
                told.iter()
                    .all(|word| word == "200" || word.starts_with("409")),
                "{told:?}"
            );
            done += told.iter().filter(|word| *word == "200").count() as u16;
        }
        assert_eq!(done, 200, "each run takes one approval");
        for run in [runs[0], runs[100], runs[199]] {
            assert_eq!(starts(&api, run).await, 1);
        }
    }
    let sql = "SELECT count(*) FROM outbox WHERE kind = 'flow_run.approved'";
    assert_eq!(api.count(sql).await, 1_000);
}
