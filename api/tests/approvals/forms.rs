//! What approvers fill in.

use serde_json::{Value, json};

use super::Api;

fn form() -> Value {
    json!({"approvers": ["bob@example.com", "eve@example.com"], "count": 2, "input": {
        "type": "object",
        "properties": {"amount": {"type": "integer", "maximum": 500}},
        "required": ["amount"],
    }})
}

const ON: &str = "&task_operation_index=1";

#[tokio::test]
async fn an_answer_fits_its_form() {
    let api = Api::start().await;
    let run = api.at_gates([form(), json!(null)]).await;
    for (body, fault) in [
        (None, "body.answer: missing"),
        (Some(json!({"answer": {}})), "body.answer.amount: missing"),
        (
            Some(json!({"answer": {"amount": "much"}})),
            "body.answer.amount: int_type",
        ),
        (
            Some(json!({"answer": {"amount": 501}})),
            "body.answer.amount: less_than_equal",
        ),
    ] {
        let answer = api.decide("bob", "approve", run, ON, body).await;
        assert_eq!(answer.fault(), fault);
    }
    let filled = Some(json!({"answer": {"amount": 40}}));
    let no = api.decide("bob", "reject", run, ON, filled.clone()).await;
    assert_eq!(no.fault(), "body.answer: not_asked");
    api.decide("bob", "approve", run, ON, filled)
        .await
        .expect(200);
    assert_eq!(api.gate(run, 1).await["answer"], json!({"amount": 40}));
    // The next one confirms it, or says otherwise.
    let other = Some(json!({"answer": {"amount": 30}}));
    api.decide("eve", "approve", run, ON, other)
        .await
        .expect(200);
    let gate = api.gate(run, 1).await;
    assert_eq!(
        (&gate["state"], &gate["answer"]),
        (&json!("approved"), &json!({"amount": 30}))
    );
}

#[tokio::test]
async fn what_an_approver_before_filled_in_is_confirmed_without_an_answer() {
    let api = Api::start().await;
    let run = api.at_gates([form(), json!(null)]).await;
    let filled = Some(json!({"answer": {"amount": 40}}));
    api.decide("bob", "approve", run, ON, filled)
        .await
        .expect(200);
    api.decide("eve", "approve", run, ON, None)
        .await
        .expect(200);
    let gate = api.gate(run, 1).await;
    assert_eq!(
        (&gate["state"], &gate["answer"]),
        (&json!("approved"), &json!({"amount": 40}))
    );
}

#[tokio::test]
async fn a_form_is_a_bounded_schema_of_an_object() {
    let api = Api::start().await;
    for input in [
        json!({"type": "string"}),
        json!({"type": "object", "properties": {"a": {"$ref": "https://example.com/a"}}}),
        json!({"type": "object", "properties": {"a": {"$ref": "#"}}}),
        json!({"type": "object", "properties": {"a": {"type": "whole"}}}),
        json!({"type": "object", "description": "x".repeat(16 << 10)}),
    ] {
        let gate = json!({"input": input});
        let answer = api.flow_asking(json!(null), [gate, json!(null)]).await;
        assert_eq!(
            answer.fault(),
            "body.task_operations.0.approval.input: bad_schema"
        );
    }
    let whole = json!({"input": {"type": "object"}});
    let answer = api.flow_asking(whole, [json!(null), json!(null)]).await;
    assert_eq!(answer.fault(), "body.approval.input: not_supported");
}
