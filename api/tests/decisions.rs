//! Approve, reject, cancel, retry: who may, in which state, and what is written.

use neena_api::auth::Permission;
use serde_json::{Value, json};
use uuid::Uuid;

use crate::harness::{Answer, Api};

async fn decide_as(api: &Api, token: &str, what: &str, run: Uuid) -> Answer {
    let path = format!("/api/v1/flow_runs/{what}?flow_run_id={run}");
    api.call("PUT", &path, token, None).await
}

async fn decide(api: &Api, what: &str, run: Uuid) -> Answer {
    decide_as(api, &api.token(), what, run).await
}

async fn read(api: &Api, run: Uuid) -> Value {
    api.get(&format!("/api/v1/flow_runs/?id={run}"))
        .await
        .expect(200)
        .body
}

fn bob(api: &Api) -> String {
    api.token_of("bob@example.com", None, &Permission::ALL)
}

#[tokio::test]
async fn an_approval_answers_what_it_wrote() {
    let api = Api::start().await;
    let run = api.run().await;
    let durable = api.db.commits().durable;
    let answer = decide(&api, "approve", run).await.expect(200).body;
    assert_eq!(api.db.commits().durable, durable + 1);
    assert_eq!(answer["status"], "in_progress");
    assert_eq!(answer["approval_status"], "approved");
    assert_eq!(answer["end_time"], Value::Null);
    assert_eq!(answer["task_runs"], json!([]));
    assert_eq!(answer, read(&api, run).await);
    assert_eq!(
        api.count("SELECT count(*) FROM outbox WHERE kind = 'flow_run.approved'")
            .await,
        1
    );
}

#[tokio::test]
async fn the_same_person_again_changes_nothing_and_another_is_too_late() {
    let api = Api::start().await;
    let run = api.run().await;
    decide(&api, "approve", run).await.expect(200);
    let before = api.rows().await;
    let again = decide(&api, "approve", run).await.expect(200).body;
    assert_eq!(again["approval_status"], "approved");
    decide_as(&api, &bob(&api), "approve", run)
        .await
        .expect(409);
    decide_as(&api, &bob(&api), "reject", run).await.expect(409);
    assert_eq!(api.rows().await, before);
}

#[tokio::test]
async fn whoever_decided_the_other_way_is_not_told_it_was_someone_else() {
    let api = Api::start().await;
    for (first, then, told) in [
        ("approve", "reject", "The flow run was already approved"),
        ("reject", "approve", "The flow run was already rejected"),
    ] {
        let run = api.run().await;
        decide(&api, first, run).await.expect(200);
        let answer = decide(&api, then, run).await.expect(409);
        assert_eq!(answer.detail(), told);
    }
}

#[tokio::test]
async fn of_many_approvals_at_once_one_counts() {
    let api = Api::start().await;
    let run = api.run().await;
    let tokens: Vec<String> = (0..16)
        .map(|n| api.token_of(&format!("approver{n}@example.com"), None, &Permission::ALL))
        .collect();
    let answers = futures_util::future::join_all(
        tokens
            .iter()
            .map(|token| decide_as(&api, token, "approve", run)),
    )
    .await;
    assert_eq!(
        answers.iter().filter(|answer| answer.status == 200).count(),
        1
    );
    assert_eq!(
        answers.iter().filter(|answer| answer.status == 409).count(),
        15
    );
    assert_eq!(api.count("SELECT count(*) FROM approvals").await, 1);
    assert_eq!(api.count("SELECT count(*) FROM outbox").await, 1);
}

#[tokio::test]
async fn one_person_many_times_at_once_is_one_event() {
    let api = Api::start().await;
    let run = api.run().await;
    let answers = (0..16).map(|_| decide(&api, "approve", run));
    for answer in futures_util::future::join_all(answers).await {
        answer.expect(200);
    }
    assert_eq!(api.count("SELECT count(*) FROM approvals").await, 1);
    assert_eq!(api.count("SELECT count(*) FROM outbox").await, 1);
}

#[tokio::test]
async fn a_rejected_run_is_cancelled_and_stays_so() {
    let api = Api::start().await;
    let run = api.run().await;
    let answer = decide(&api, "reject", run).await.expect(200).body;
    assert_eq!(answer["status"], "cancelled");
    assert_eq!(answer["approval_status"], "rejected");
    assert!(answer["end_time"].is_string());
    decide(&api, "reject", run).await.expect(200);
    decide_as(&api, &bob(&api), "reject", run).await.expect(409);
    for what in ["approve", "cancel", "retry"] {
        let answer = decide(&api, what, run).await.expect(409);
        assert!(
            answer.detail().starts_with(char::is_uppercase),
            "{}",
            answer.text
        );
    }
    assert_eq!(api.count("SELECT count(*) FROM live_runs").await, 0);
}

#[tokio::test]
async fn a_cancelled_run_cannot_be_approved_or_retried() {
    let api = Api::start().await;
    let run = api.run().await;
    let answer = decide(&api, "cancel", run).await.expect(200).body;
    assert_eq!(answer["status"], "cancelled");
    assert_eq!(answer["approval_status"], Value::Null);
    let with = api
        .get(&format!("/api/v1/flow_runs/with_flow_result?id={run}"))
        .await
        .expect(200)
        .body;
    assert_eq!(with["flow_result"]["flow_run_id"], run.to_string());
    assert_eq!(with["flow_result"]["trigger_run_id"], Value::Null);
    for what in ["approve", "reject", "retry"] {
        decide(&api, what, run).await.expect(409);
    }
}

#[tokio::test]
async fn an_approved_run_that_was_cancelled_is_retried_in_a_new_round() {
    let api = Api::start().await;
    let run = api.run().await;
    decide(&api, "retry", run).await.expect(409);
    decide(&api, "approve", run).await.expect(200);
    decide(&api, "retry", run).await.expect(409);
    decide(&api, "cancel", run).await.expect(200);
    let answer = decide(&api, "retry", run).await.expect(200).body;
    assert_eq!(answer["status"], "in_progress");
    assert_eq!(answer["round"], 2);
    assert_eq!(answer["end_time"], Value::Null);
    assert_eq!(answer["approval_status"], "approved");
    decide(&api, "retry", run).await.expect(409);
}

#[tokio::test]
async fn what_is_not_there_cannot_be_decided() {
    let api = Api::start().await;
    for what in ["approve", "reject", "cancel", "retry"] {
        let answer = decide(&api, what, Uuid::now_v7()).await.expect(404);
        assert_eq!(answer.detail(), "Flow run not found");
    }
}

#[tokio::test]
async fn a_plan_hash_that_is_not_the_runs_decides_nothing() {
    let api = Api::start().await;
    let run = api.run().await;
    let before = api.rows().await;
    for what in ["approve", "reject"] {
        let path = format!(
            "/api/v1/flow_runs/{what}?flow_run_id={run}&plan_hash={}",
            "0".repeat(64)
        );
        api.call("PUT", &path, &api.token(), None).await.expect(412);
    }
    assert_eq!(api.rows().await, before);
    let hash = read(&api, run).await["plan_hash"]
        .as_str()
        .unwrap()
        .to_owned();
    let path = format!("/api/v1/flow_runs/approve?flow_run_id={run}&plan_hash={hash}");
    api.call("PUT", &path, &api.token(), None).await.expect(200);
}

#[tokio::test]
async fn in_an_organization_nobody_approves_their_own_run() {
    let api = Api::start().await;
    let ada = api.token_of("ada@example.com", Some("org_acme"), &Permission::ALL);
    let run = api.run_of(&ada).await;
    let before = api.rows().await;
    let answer = decide_as(&api, &ada, "approve", run).await.expect(403);
    assert_eq!(answer.detail(), "You cannot approve your own run");
    let shouting = api.token_of("ADA@example.com", Some("org_acme"), &Permission::ALL);
    decide_as(&api, &shouting, "approve", run).await.expect(403);
    assert_eq!(api.rows().await, before);
    let bob = api.token_of("bob@example.com", Some("org_acme"), &Permission::ALL);
    decide_as(&api, &bob, "approve", run).await.expect(200);
}

#[tokio::test]
async fn a_plan_whose_code_has_changed_cannot_be_approved() {
    let api = Api::start().await;
    let run = api.run().await;
    let changed = "UPDATE task_definitions SET code_digest = 'core.echo@2' \
        WHERE python_method_name = 'core.echo'";
    api.execute(changed.to_owned()).await;
    let path = format!("/api/v1/flow_runs/plan?flow_run_id={run}");
    let old = api.get(&path).await.expect(200).body;
    let answer = decide(&api, "approve", run).await.expect(409);
    assert_eq!(
        answer.detail(),
        "The code behind the plan has changed since the run was made; it holds a new plan now, which is to be read \
         and approved"
    );
    let waits = "SELECT COUNT(*) FROM live_runs WHERE phase = 'waiting'";
    assert_eq!(api.count(waits).await, 1);
    let new = api.get(&path).await.expect(200).body;
    assert_eq!(new["operations"][0]["code_digest"], "core.echo@2");
    let stale = format!(
        "/api/v1/flow_runs/approve?flow_run_id={run}&plan_hash={}",
        old["plan_hash"].as_str().unwrap()
    );
    api.call("PUT", &stale, &api.token(), None)
        .await
        .expect(412);
    decide(&api, "approve", run).await.expect(200);
    api.execute(changed.replace("@2", "@3")).await;
    decide(&api, "approve", run).await.expect(200);
}

#[tokio::test]
async fn a_flow_that_does_not_fit_the_changed_code_waits_for_ever_and_says_why() {
    let api = Api::start().await;
    let run = api.run().await;
    let before = api.rows().await;
    let gone = "UPDATE task_definitions SET deleted_at = 1 WHERE python_method_name = 'core.echo'";
    api.execute(gone.to_owned()).await;
    let answer = decide(&api, "approve", run).await.expect(409);
    let detail = answer.detail();
    assert!(
        detail.contains("the flow does not fit it any more: "),
        "{detail}"
    );
    assert_eq!(api.rows().await, before);
    api.execute(gone.replace("= 1", "= NULL")).await;
    decide(&api, "approve", run).await.expect(200);
}
