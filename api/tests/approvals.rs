//! Approvals that can be trusted: who may decide what, by whichever way in, and who can see it.

mod forms;
mod gates;
mod inbox;
mod people;
mod policies;
mod times;

use neena_api::auth::Permission;
use serde_json::{Value, json};
use uuid::Uuid;

use crate::harness::{Answer, Api, clustered, literal};

/// The organization of these tests: in it nobody approves their own run.
const ACME: &str = "acme";

impl Api {
    /// A token of the organization with every permission.
    fn as_(&self, name: &str) -> String {
        let email = format!("{name}@example.com");
        self.token_of(&email, Some(ACME), &Permission::ALL)
    }

    /// A flow of two echoes, the second after the first, the way ada posts it.
    async fn flow_asking(&self, approval: Value, gates: [Value; 2]) -> Answer {
        self.flow_asking_as(&self.as_("ada"), approval, gates).await
    }

    async fn flow_asking_as(&self, token: &str, approval: Value, gates: [Value; 2]) -> Answer {
        let echo = self.definition("core.echo").await;
        let [first, second] = gates;
        let body = json!({
            "name": "Ship it",
            "approval": approval,
            "task_operations": [
                {"name": "Pack", "task_definition": echo, "index": 1, "arguments": {"x": 1}, "approval": first},
                {"name": "Ship", "task_definition": echo, "index": 2, "arguments": {"x": 2}, "approval": second},
            ],
            "dependencies": [{"source_task_operation": 1, "target_task_operation": 2}],
        });
        self.call("POST", "/api/v1/flows/", token, Some(body)).await
    }

    /// A run of `flow` that `token` asked for.
    async fn made(&self, token: &str, flow: Uuid) -> Answer {
        let request = self.flow_request_of(token).await;
        let body = json!({"flow": flow, "flow_request": request});
        self.call("POST", "/api/v1/flow_runs/", token, Some(body))
            .await
            .expect(200)
    }

    /// A run of ada's that waits for what `approval` asks.
    async fn asking(&self, approval: Value) -> Uuid {
        let flow = self.flow_asking(approval, [json!(null), json!(null)]).await;
        let flow = flow.expect(200).id();
        self.made(&self.as_("ada"), flow).await.id()
    }

    /// A run of ada's under way, parked at the gates given of its tasks 1 and 2.
    async fn at_gates(&self, gates: [Value; 2]) -> Uuid {
        let flow = self.flow_asking(json!("required"), gates.clone()).await;
        let run = self
            .made(&self.as_("ada"), flow.expect(200).id())
            .await
            .id();
        for (index, gate) in gates.iter().enumerate() {
            if !gate.is_null() {
                self.reach(run, index + 1).await;
            }
        }
        self.decide("bob", "approve", run, "", None)
            .await
            .expect(200);
        let parked = format!(
            "UPDATE live_runs SET phase = 'parked', epoch = 1, ready_at = NULL WHERE run_id = {}",
            literal(run)
        );
        self.execute(parked).await;
        run
    }

    /// Asks at a gate, as the run's owner would.
    async fn reach(&self, run: Uuid, index: usize) {
        let empty = match clustered() {
            true => "false",
            false => "0",
        };
        let asks = format!(
            "INSERT INTO asks (run_id, idx, item, organization_id, flow_id, name, state, stage, audience, asked_at, \
               escalated, requester, needed) \
             SELECT run_id, {index}, -1, organization_id, flow_id, 'gate_{index}', 'open', 0, audience, asked_at, \
               {empty}, requester, 1 FROM asks WHERE run_id = {} AND idx = -1",
            literal(run)
        );
        self.execute(asks).await;
    }

    /// A decision of somebody, with whatever else the query and the body hold.
    async fn decide(
        &self,
        who: &str,
        what: &str,
        run: Uuid,
        query: &str,
        body: Option<Value>,
    ) -> Answer {
        let path = format!("/api/v1/flow_runs/{what}?flow_run_id={run}{query}");
        self.call("PUT", &path, &self.as_(who), body).await
    }

    async fn seen(&self, run: Uuid) -> Value {
        let path = format!("/api/v1/flow_runs/?id={run}");
        let answer = self.call("GET", &path, &self.as_("ada"), None).await;
        answer.expect(200).body
    }

    async fn plan(&self, run: Uuid) -> Value {
        let path = format!("/api/v1/flow_runs/plan?flow_run_id={run}");
        let answer = self.call("GET", &path, &self.as_("ada"), None).await;
        answer.expect(200).body
    }

    /// What was asked at the gate of a task.
    async fn gate(&self, run: Uuid, index: u32) -> Value {
        let plan = self.plan(run).await;
        let mut asks = plan["asks"].as_array().unwrap().iter();
        asks.find(|ask| ask["task_operation_index"] == index)
            .cloned()
            .unwrap()
    }

    /// The decision log about a run, newest first, as `what: result`.
    async fn log(&self, run: Uuid) -> Vec<String> {
        let path = format!("/api/v1/decisions/all?flow_run_id={run}");
        let answer = self.call("GET", &path, &self.as_("ada"), None).await;
        let word = |entry: &Value, field: &str| entry[field].as_str().unwrap_or("-").to_owned();
        let entries = answer.expect(200).body;
        let line = |entry: &Value| format!("{}: {}", word(entry, "what"), word(entry, "result"));
        entries.as_array().unwrap().iter().map(line).collect()
    }
}

#[tokio::test]
async fn a_plain_approve_works_as_the_reference_says() {
    let api = Api::start().await;
    let run = api.asking(json!(null)).await;
    let answer = api
        .decide("bob", "approve", run, "", None)
        .await
        .expect(200);
    assert_eq!(answer.body["status"], "in_progress");
    assert_eq!(answer.body["approval_status"], "approved");
    let again = api
        .decide("bob", "approve", run, "", None)
        .await
        .expect(200);
    assert_eq!(again.body["approval_status"], "approved");
    let other = api
        .decide("eve", "approve", run, "", None)
        .await
        .expect(409);
    assert_eq!(other.detail(), "The flow run was already approved");
}

#[tokio::test]
async fn a_plan_changed_between_reading_and_approving_is_412() {
    let api = Api::start().await;
    let run = api.asking(json!(null)).await;
    let before = api.rows().await;
    let other = "0".repeat(64);
    let query = format!("&plan_hash={other}");
    api.decide("bob", "approve", run, &query, None)
        .await
        .expect(412);
    let body = json!({"plan_hash": other});
    api.decide("bob", "approve", run, "", Some(body.clone()))
        .await
        .expect(412);
    api.decide("bob", "reject", run, "", Some(body.clone()))
        .await
        .expect(412);
    assert_eq!(api.rows().await, before);
    let hash = api.plan(run).await["plan_hash"].clone();
    let query = format!("&plan_hash={}", hash.as_str().unwrap());
    let answer = api.decide("bob", "approve", run, &query, Some(body)).await;
    assert_eq!(answer.fault(), "body.plan_hash: value_error");
    let same = json!({"plan_hash": hash});
    api.decide("bob", "approve", run, &query, Some(same))
        .await
        .expect(200);
}

#[tokio::test]
async fn a_click_does_not_decide_another_step() {
    let api = Api::start().await;
    let stages = json!([{"name": "first"}, {"name": "second"}]);
    let run = api
        .asking(json!({"stages": stages, "distinct_approvers": true}))
        .await;
    let waits = api
        .decide("bob", "approve", run, "&stage=first", None)
        .await
        .expect(200);
    assert_eq!(waits.body["approval_status"], Value::Null);
    // Sent twice, and with the other step's name.
    api.decide("bob", "approve", run, "&stage=first", None)
        .await
        .expect(200);
    api.decide("bob", "approve", run, "", None)
        .await
        .expect(200);
    api.decide("bob", "approve", run, "&stage=second", None)
        .await
        .expect(403);
    let late = api
        .decide("eve", "approve", run, "&stage=first", None)
        .await
        .expect(409);
    assert_eq!(late.detail(), "The stage `first` is decided");
    assert_eq!(api.seen(run).await["waiting_for"], "approval");
    let done = api
        .decide("eve", "approve", run, "&stage=second", None)
        .await
        .expect(200);
    assert_eq!(done.body["approval_status"], "approved");
}

#[tokio::test]
async fn everybody_can_see_who_decided() {
    let api = Api::start().await;
    let run = api.asking(json!({"count": 2})).await;
    let said = json!({"comment": "checked the invoice"});
    api.decide("bob", "approve", run, "", Some(said))
        .await
        .expect(200);
    api.decide("eve", "approve", run, "&comment=fine", None)
        .await
        .expect(200);
    let reader = api.token_of("rob@example.com", Some(ACME), &[Permission::Read]);
    let path = format!("/api/v1/decisions/all?flow_run_id={run}");
    let log = api.call("GET", &path, &reader, None).await.expect(200).body;
    let by: Vec<_> = log
        .as_array()
        .unwrap()
        .iter()
        .map(|one| one["actor_email"].clone())
        .collect();
    assert_eq!(by, ["eve@example.com", "bob@example.com"]);
    assert_eq!(log[1]["comment"], "checked the invoice");
    assert_eq!(log[1]["way"], "rest");
    let path = format!("/api/v1/flow_runs/plan?flow_run_id={run}");
    let plan = api.call("GET", &path, &reader, None).await.expect(200).body;
    let asked = &plan["asks"][0];
    assert_eq!(asked["state"], "approved");
    assert_eq!(asked["approvals"][0]["email"], "bob@example.com");
    assert_eq!(asked["approvals"][1]["comment"], "fine");
    assert_eq!(plan["policy"]["count"], 2);
    assert_eq!(plan["requester"]["email"], "ada@example.com");
}

#[tokio::test]
async fn resume_and_retry_do_not_bypass_the_policy() {
    let api = Api::start().await;
    for end in [None, Some("reject"), Some("cancel")] {
        let run = api.asking(json!({"count": 2})).await;
        api.decide("bob", "approve", run, "", None)
            .await
            .expect(200);
        if let Some(end) = end {
            api.decide("eve", end, run, "", None).await.expect(200);
        }
        api.decide("ada", "retry", run, "", None).await.expect(409);
        assert_ne!(api.seen(run).await["approval_status"], "approved");
    }
    let gate = json!({"approvers": ["bob@example.com"]});
    let run = api.at_gates([gate, json!(null)]).await;
    api.decide("ada", "retry", run, "", None).await.expect(409);
    assert_eq!(api.gate(run, 1).await["state"], "open");
}

#[tokio::test]
async fn bad_words_are_located() {
    let api = Api::start().await;
    let run = api.asking(json!(null)).await;
    for (query, body, fault) in [
        ("&plan_hash=1", None, "query.plan_hash: hash_parsing"),
        (
            "&task_operation_index=x",
            None,
            "query.task_operation_index: int_parsing",
        ),
        (
            "&comment=a%00b",
            None,
            "query.comment: string_pattern_mismatch",
        ),
        ("&comment=a&comment=b", None, "query.comment: repeated"),
        (
            "",
            Some(json!({"plan_hash": "1"})),
            "body.plan_hash: string_pattern_mismatch",
        ),
        ("", Some(json!({"comment": 1})), "body.comment: string_type"),
        (
            "",
            Some(json!({"comment": "x".repeat(2_001)})),
            "body.comment: string_too_long",
        ),
        ("", Some(json!({"answer": 5})), "body.answer: dict_type"),
        ("", Some(json!({"answer": {}})), "body.answer: not_asked"),
        (
            "&stage=a",
            Some(json!({"stage": "b"})),
            "body.stage: value_error",
        ),
    ] {
        let answer = api.decide("bob", "approve", run, query, body).await;
        assert_eq!(answer.fault(), fault);
    }
    let there_is_none = api
        .decide("bob", "approve", run, "&stage=legal", None)
        .await
        .expect(409);
    assert_eq!(there_is_none.detail(), "There is no stage `legal`");
    let no_gate = api
        .decide("bob", "approve", run, "&task_operation_index=1", None)
        .await;
    assert_eq!(no_gate.expect(404).detail(), "Gate not found");
}
