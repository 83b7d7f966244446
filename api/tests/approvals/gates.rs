//! Gates inside runs: each is a question of its own.

use serde_json::json;

use super::Api;

#[tokio::test]
async fn approvals_in_parallel_branches_are_decided_one_by_one() {
    let api = Api::start().await;
    let gate = || json!({"approvers": ["bob@example.com", "eve@example.com"]});
    let run = api.at_gates([gate(), gate()]).await;
    let on = |index| format!("&task_operation_index={index}");
    api.decide("bob", "approve", run, &on(1), None)
        .await
        .expect(200);
    assert_eq!(api.gate(run, 1).await["state"], "approved");
    assert_eq!(api.gate(run, 2).await["state"], "open");
    // The first once more says nothing about the second.
    api.decide("bob", "approve", run, &on(1), None)
        .await
        .expect(200);
    assert_eq!(api.gate(run, 2).await["state"], "open");
    api.decide("eve", "reject", run, &on(2), None)
        .await
        .expect(200);
    assert_eq!(api.gate(run, 1).await["state"], "approved");
    let second = api.gate(run, 2).await;
    assert_eq!(second["state"], "rejected");
    assert_eq!(second["approvals"][0]["email"], "eve@example.com");
    assert_eq!(second["upstream"][0]["name"], "Pack");
    api.decide("bob", "approve", run, &on(2), None)
        .await
        .expect(409);
}

#[tokio::test]
async fn a_gate_asks_only_its_own_approvers() {
    let api = Api::start().await;
    let gate = json!({"approvers": ["bob@example.com"]});
    let run = api.at_gates([gate, json!(null)]).await;
    let on = "&task_operation_index=1";
    api.decide("eve", "approve", run, on, None)
        .await
        .expect(403);
    api.decide("eve", "reject", run, on, None).await.expect(403);
    let other = api
        .decide("bob", "approve", run, "&task_operation_index=2", None)
        .await;
    other.expect(404);
    api.decide("bob", "approve", run, on, None)
        .await
        .expect(200);
    let refused = api
        .log(run)
        .await
        .into_iter()
        .filter(|line| line.starts_with("refused"))
        .count();
    assert_eq!(refused, 2);
    assert!(
        api.count("SELECT count(*) FROM outbox WHERE kind = 'flow_run.resumed'")
            .await
            == 1
    );
}

#[tokio::test]
async fn a_gate_that_was_not_reached_is_not_decided() {
    let api = Api::start().await;
    let gate = json!({"approvers": ["bob@example.com"]});
    let flow = api
        .flow_asking(json!(null), [gate, json!(null)])
        .await
        .expect(200)
        .id();
    let run = api.made(&api.as_("ada"), flow).await.id();
    let early = api
        .decide("bob", "approve", run, "&task_operation_index=1", None)
        .await;
    assert_eq!(early.expect(409).detail(), "The gate was not reached yet");
}
