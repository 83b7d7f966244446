//! What time decides, and what it leaves alone.

use neena_engine::approval::Subject;
use neena_engine::ids::{OrganizationId, RunId};
use neena_engine::run::{Refused, TaskKey};
use neena_store::{Decided, Lapsed, SqlStore, Store};
use serde_json::json;
use uuid::Uuid;

use super::Api;
use crate::harness::literal;

/// Lets the time of what is asked about a run be over.
async fn over(api: &Api, run: Uuid) {
    let due = format!(
        "UPDATE asks SET due_at = 1, wake_at = 1 WHERE run_id = {}",
        literal(run)
    );
    api.execute(due).await;
}

/// What time decides about a run.
async fn lapse(api: &Api, run: Uuid, subject: Subject) -> Decided {
    let store = SqlStore::new(api.db.clone());
    let export = api
        .call("GET", "/api/v1/decisions/export", &api.as_("ada"), None)
        .await;
    let organization: Uuid = last_line(&export.text)["chain"]["organization"]
        .as_str()
        .unwrap()
        .parse()
        .unwrap();
    let lapsed = Lapsed {
        run: RunId(run),
        organization: OrganizationId(organization),
        subject,
    };
    store.decide(&lapsed.deciding()).await.unwrap()
}

fn last_line(text: &str) -> serde_json::Value {
    serde_json::from_str(text.lines().last().unwrap()).unwrap()
}

#[tokio::test]
async fn an_expiry_does_not_touch_a_decided_run() {
    let api = Api::start().await;
    let run = api
        .asking(json!({"expires_in_seconds": 3600, "on_expiry": "reject"}))
        .await;
    api.decide("bob", "approve", run, "", None)
        .await
        .expect(200);
    let (before, log) = (api.seen(run).await, api.log(run).await);
    over(&api, run).await;
    let late = lapse(&api, run, Subject::Run).await;
    assert!(
        matches!(late, Decided::Refused(Refused::NotDue)),
        "{late:?}"
    );
    assert_eq!((api.seen(run).await, api.log(run).await), (before, log));
}

#[tokio::test]
async fn what_nobody_decided_in_time_is_rejected() {
    let api = Api::start().await;
    let run = api.asking(json!({"expires_in_seconds": 3600})).await;
    over(&api, run).await;
    let done = lapse(&api, run, Subject::Run).await;
    assert!(matches!(done, Decided::Done { .. }), "{done:?}");
    let seen = api.seen(run).await;
    assert_eq!(
        (&seen["status"], &seen["approval_status"]),
        (&json!("cancelled"), &json!("rejected"))
    );
    assert_eq!(
        api.log(run).await,
        ["expire: nobody decided in time: rejected"]
    );
}

#[tokio::test]
async fn an_expiry_keeps_the_approvers_input() {
    let api = Api::start().await;
    let gate = json!({
        "stages": [{"name": "team", "approvers": ["bob@example.com"]}, {"name": "lead", "approvers": ["eve@example.com"]}],
        "expires_in_seconds": 3600, "on_expiry": "escalate", "escalate_to": ["zoe@example.com"],
        "input": {"type": "object", "required": ["amount"]},
    });
    let run = api.at_gates([gate, json!(null)]).await;
    let on = "&task_operation_index=1";
    let filled = Some(json!({"answer": {"amount": 40}}));
    api.decide("bob", "approve", run, on, filled)
        .await
        .expect(200);
    over(&api, run).await;
    let key = TaskKey {
        index: 1,
        item: None,
    };
    let escalated = lapse(&api, run, Subject::Gate(key)).await;
    assert!(matches!(escalated, Decided::Done { .. }), "{escalated:?}");
    let gate = api.gate(run, 1).await;
    assert_eq!(
        (&gate["escalated"], &gate["stage"]),
        (&json!(true), &json!("lead"))
    );
    assert_eq!(gate["answer"], json!({"amount": 40}));
    assert_eq!(gate["approvals"][0]["email"], "bob@example.com");
    api.decide("zoe", "approve", run, on, None)
        .await
        .expect(200);
    let gate = api.gate(run, 1).await;
    assert_eq!(
        (&gate["state"], &gate["answer"]),
        (&json!("approved"), &json!({"amount": 40}))
    );
}

#[tokio::test]
async fn an_answer_after_the_timeout_is_refused_and_noted() {
    let api = Api::start().await;
    let run = api.asking(json!({"expires_in_seconds": 3600})).await;
    over(&api, run).await;
    for what in ["approve", "reject"] {
        let late = api.decide("bob", what, run, "", None).await.expect(409);
        assert_eq!(
            late.detail(),
            "The time to decide about this flow run is over"
        );
    }
    let log = api.log(run).await;
    assert_eq!(log.len(), 2);
    assert!(
        log.iter().all(|line| line.starts_with("refused: too late")),
        "{log:?}"
    );
    assert_eq!(api.seen(run).await["approval_status"], json!(null));
    // Nor is it otherwise once time has decided.
    lapse(&api, run, Subject::Run).await;
    for what in ["approve", "reject"] {
        let late = api.decide("eve", what, run, "", None).await.expect(409);
        assert_eq!(
            late.detail(),
            "The time to decide about this flow run is over"
        );
    }
    let log = api.log(run).await;
    let noted = log
        .iter()
        .filter(|line| line.starts_with("refused: too late"));
    assert_eq!((log.len(), noted.count()), (5, 4), "{log:?}");
}
