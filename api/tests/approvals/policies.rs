//! Policies of flows, held to their organization's.

use neena_api::auth::Permission::{Approve, Read, Write};
use serde_json::{Value, json};

use super::{ACME, Api};
use crate::harness::faults;

const NO_GATES: [Value; 2] = [Value::Null, Value::Null];

impl Api {
    async fn organization_asks(&self, approval: Value) {
        let body = Some(json!({"approval": approval}));
        let set = self
            .call("PUT", "/api/v1/policies/", &self.as_("ada"), body)
            .await;
        set.expect(200);
    }

    fn writer(&self) -> String {
        self.token_of("wil@example.com", Some(ACME), &[Read, Write, Approve])
    }
}

#[tokio::test]
async fn a_policy_that_makes_no_sense_is_refused_where_it_does_not() {
    let api = Api::start().await;
    for (approval, expected) in [
        (json!("sometimes"), ("approval", "enum")),
        (
            json!({"count": 0}),
            ("approval.count", "greater_than_equal"),
        ),
        (json!({"counts": 1}), ("approval.counts", "not_supported")),
        (
            json!({"approvers": ["eve"]}),
            ("approval.approvers.0", "value_error"),
        ),
        (
            json!({"approvers": ["group:"]}),
            ("approval.approvers.0", "value_error"),
        ),
        (json!({"stages": []}), ("approval.stages", "too_short")),
        (
            json!({"stages": [{}, {"name": "b"}]}),
            ("approval.stages.0.name", "missing"),
        ),
        (
            json!({"stages": [{"name": "b"}, {"name": "b"}]}),
            ("approval.stages.1.name", "value_error"),
        ),
        (
            json!({"stages": [{}], "count": 1}),
            ("approval.count", "value_error"),
        ),
        (
            json!({"count": 2, "approvers": ["eve@x.org"]}),
            ("approval.count", "less_than_equal"),
        ),
        (
            json!({"expires_in_seconds": 0}),
            ("approval.expires_in_seconds", "greater_than"),
        ),
        (
            json!({"on_expiry": "reject"}),
            ("approval.expires_in_seconds", "missing"),
        ),
        (
            json!({"expires_in_seconds": 9, "on_expiry": "escalate"}),
            ("approval.escalate_to", "missing"),
        ),
        (
            json!({"expires_in_seconds": 9, "remind_before_seconds": [-1]}),
            ("approval.remind_before_seconds.0", "greater_than"),
        ),
    ] {
        let answer = api.flow_asking(approval.clone(), NO_GATES).await;
        let (place, kind) = expected;
        assert_eq!(
            answer.faults(),
            faults([(&format!("body.{place}"), kind)]),
            "{approval}"
        );
    }
    let gate = |policy| [policy, Value::Null];
    let none = api
        .flow_asking(json!(null), gate(json!({"mode": "none"})))
        .await;
    assert_eq!(
        none.fault(),
        "body.task_operations.0.approval.mode: value_error"
    );
    let bare = api.flow_asking(json!(null), gate(json!("none"))).await;
    assert_eq!(bare.fault(), "body.task_operations.0.approval: value_error");
}

#[tokio::test]
async fn less_than_the_organization_asks_takes_an_admin_and_is_noted() {
    let api = Api::start().await;
    let writer = api.writer();
    let loose = || json!({"mode": "none", "distinct_from_requester": false});
    let no = api
        .flow_asking_as(&writer, loose(), NO_GATES)
        .await
        .expect(403);
    assert_eq!(
        no.detail(),
        "The flow asks for less than its organization, by mode, distinct_from_requester: \
         that needs the permission `admin`"
    );
    let gate = json!({"expires_in_seconds": 9, "on_expiry": "approve"});
    let no = api
        .flow_asking_as(&writer, json!(null), [Value::Null, gate])
        .await
        .expect(403);
    assert!(no.detail().contains("on_expiry of task 2"), "{}", no.text);
    assert_eq!(api.count("SELECT count(*) FROM flows").await, 0);
    let flow = api.flow_asking(loose(), NO_GATES).await.expect(200).id();
    let log = api
        .call("GET", "/api/v1/decisions/all", &writer, None)
        .await
        .expect(200)
        .body;
    assert_eq!(log[0]["what"], "loosen");
    assert_eq!(
        log[0]["result"],
        format!("flow {flow}, version 1: mode, distinct_from_requester")
    );
    assert_eq!(log[0]["actor_email"], "ada@example.com");
}

#[tokio::test]
async fn nobody_is_asked_where_the_policy_says_so() {
    let api = Api::start().await;
    let flow = api
        .flow_asking(json!("none"), NO_GATES)
        .await
        .expect(200)
        .id();
    let run = api.made(&api.writer(), flow).await;
    assert_eq!(run.body["status"], "in_progress");
    assert_eq!(run.body["approval_status"], "approved");
    let sql = "SELECT count(*) FROM outbox WHERE kind = 'flow_run.approved'";
    assert_eq!(api.count(sql).await, 1);
    assert_eq!(api.log(run.id()).await, ["start: the policy asks nobody"]);
}

#[tokio::test]
async fn a_floor_that_has_risen_holds_for_runs_made_since() {
    let api = Api::start().await;
    let flow = api
        .flow_asking(json!({"count": 1}), NO_GATES)
        .await
        .expect(200)
        .id();
    let early = api.made(&api.as_("ada"), flow).await.id();
    api.organization_asks(
        json!({"count": 2, "reason_required": true, "approvers": ["group:finance"]}),
    )
    .await;
    let late = api.made(&api.as_("ada"), flow).await.id();
    assert_eq!(api.plan(early).await["policy"]["reason_required"], false);
    let policy = api.plan(late).await["policy"].clone();
    assert_eq!(policy["reason_required"], true);
    assert_eq!(policy["stages"][1]["approvers"], json!(["group:finance"]));
    assert_eq!(policy["stages"][1]["count"], 2);
    // What an admin let be stays as it is.
    let open = api
        .flow_asking(json!({"reason_required": false}), NO_GATES)
        .await
        .expect(200)
        .id();
    api.organization_asks(json!({"reason_required": true, "distinct_from_author": true}))
        .await;
    let run = api.made(&api.as_("ada"), open).await.id();
    let policy = api.plan(run).await["policy"].clone();
    assert_eq!(
        (&policy["reason_required"], &policy["distinct_from_author"]),
        (&json!(false), &json!(true))
    );
}

#[tokio::test]
async fn what_is_asked_more_is_no_loosening() {
    let api = Api::start().await;
    api.organization_asks(json!({"count": 1, "approvers": ["group:finance"]}))
        .await;
    let more = json!({
        "stages": [{"name": "team", "count": 2}], "distinct_from_author": true,
        "expires_in_seconds": 60, "remind_before_seconds": [10, 30],
    });
    let flow = api
        .flow_asking_as(&api.writer(), more, NO_GATES)
        .await
        .expect(200)
        .id();
    let run = api.made(&api.writer(), flow).await.id();
    let policy = api.plan(run).await["policy"].clone();
    let names: Vec<_> = policy["stages"]
        .as_array()
        .unwrap()
        .iter()
        .map(|stage| stage["name"].clone())
        .collect();
    assert_eq!(names, ["team", "approval"]);
    assert_eq!(policy["count"], 3);
    assert_eq!(policy["remind_before_seconds"], json!([30, 10]));
}

#[tokio::test]
async fn a_plan_is_compared_with_the_last_approved_one() {
    let api = Api::start().await;
    let flow = api
        .flow_asking(json!(null), NO_GATES)
        .await
        .expect(200)
        .id();
    let path = |run| format!("/api/v1/flow_runs/plan_diff?flow_run_id={run}");
    let first = api.made(&api.as_("ada"), flow).await.id();
    let diff = api
        .call("GET", &path(first), &api.as_("bob"), None)
        .await
        .expect(200)
        .body;
    assert_eq!(
        (&diff["against"], &diff["same"]),
        (&Value::Null, &json!(false))
    );
    let changes = diff["changes"].as_array().unwrap();
    assert!(changes.iter().all(|change| change["change"] == "added"));
    api.decide("bob", "approve", first, "", None)
        .await
        .expect(200);
    let second = api.made(&api.as_("ada"), flow).await.id();
    let diff = api
        .call("GET", &path(second), &api.as_("bob"), None)
        .await
        .expect(200)
        .body;
    assert_eq!(diff["against"], first.to_string());
    assert_eq!(
        (&diff["same"], &diff["changes"]),
        (&json!(true), &json!([]))
    );
    api.organization_asks(json!({"reason_required": true}))
        .await;
    let third = api.made(&api.as_("bob"), flow).await.id();
    let diff = api
        .call("GET", &path(third), &api.as_("bob"), None)
        .await
        .expect(200)
        .body;
    let fields: Vec<_> = diff["changes"]
        .as_array()
        .unwrap()
        .iter()
        .map(|change| change["field"].clone())
        .collect();
    assert_eq!(fields, ["requester", "triggered_by", "reason_required"]);
}
