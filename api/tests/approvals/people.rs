//! Who may not decide, whichever way they come in by.

use jsonwebtoken::{Algorithm, EncodingKey, Header, encode};
use neena_api::auth::Permission;
use serde_json::{Value, json};

use super::{ACME, Api};
use crate::harness::ISSUER;

/// The same subject as another account, with another e-mail.
fn renamed(api: &Api, subject: &str, email: &str) -> String {
    let now = std::time::SystemTime::now()
        .duration_since(std::time::UNIX_EPOCH)
        .unwrap()
        .as_secs();
    let claims = json!({
        "iss": ISSUER, "aud": ISSUER, "sub": subject, "email": email, "org_id": ACME,
        "permissions": ["read", "write", "approve", "admin"], "iat": now, "exp": now + 600,
    });
    let key = EncodingKey::from_secret(api.secret.expose());
    encode(&Header::new(Algorithm::HS256), &claims, &key).unwrap()
}

async fn lend(api: &Api, from: &str, to: &str) {
    let body = json!({"to": format!("{to}@example.com"), "ends": in_a_day()});
    api.call("POST", "/api/v1/delegations/", &api.as_(from), Some(body))
        .await
        .expect(200);
}

fn in_a_day() -> String {
    (chrono::Utc::now() + chrono::Duration::days(1)).to_rfc3339()
}

#[tokio::test]
async fn a_requester_cannot_approve_through_another_way_in() {
    let api = Api::start().await;
    let run = api
        .asking(json!({"approvers": ["ada@example.com", "bob@example.com"]}))
        .await;
    let own = api
        .decide("ada", "approve", run, "", None)
        .await
        .expect(403);
    assert_eq!(own.detail(), "You cannot approve your own run");
    // In other letters, with the body instead of the query, with the stage named.
    api.decide("ADA", "approve", run, "&stage=approval", None)
        .await
        .expect(403);
    api.decide(
        "ada",
        "approve",
        run,
        "",
        Some(json!({"comment": "please"})),
    )
    .await
    .expect(403);
    // A second account of the same subject.
    let path = format!("/api/v1/flow_runs/approve?flow_run_id={run}");
    let renamed = renamed(&api, "local|ada@example.com", "ada.l@example.com");
    api.call("PUT", &path, &renamed, None).await.expect(403);
    // Through whoever stands in for them.
    lend(&api, "ada", "eve").await;
    api.decide("eve", "approve", run, "", None)
        .await
        .expect(403);
    assert_eq!(api.seen(run).await["approval_status"], Value::Null);
    assert_eq!(api.count("SELECT count(*) FROM approvals").await, 0);
    // Each of them is known.
    assert_eq!(api.log(run).await.len(), 5);
    // Along with making it: nothing is stored.
    let flow = api.flow_of(&api.as_("ada")).await;
    let request = api.flow_request_of(&api.as_("ada")).await;
    let before = api.rows().await;
    let body = json!({"flow": flow, "flow_request": request, "approval_status": "approved"});
    let made = api
        .call("POST", "/api/v1/flow_runs/", &api.as_("ada"), Some(body))
        .await;
    assert_eq!(made.expect(403).detail(), "You cannot approve your own run");
    assert_eq!(api.rows().await, before);
    api.decide("bob", "approve", run, "", None)
        .await
        .expect(200);
}

#[tokio::test]
async fn somebody_who_stands_in_takes_one_place_and_it_is_seen_whose() {
    let api = Api::start().await;
    let run = api
        .asking(json!({"approvers": ["bob@example.com", "zoe@example.com"], "count": 2}))
        .await;
    api.decide("eve", "approve", run, "", None)
        .await
        .expect(403);
    lend(&api, "bob", "eve").await;
    api.decide("eve", "approve", run, "", None)
        .await
        .expect(200);
    let votes = api.plan(run).await["asks"][0]["approvals"].clone();
    assert_eq!(votes[0]["stands_in_for"], "bob@example.com");
    // Whose place was taken counts once.
    api.decide("bob", "approve", run, "", None)
        .await
        .expect(200);
    assert_eq!(api.seen(run).await["approval_status"], Value::Null);
    let done = api
        .decide("zoe", "approve", run, "", None)
        .await
        .expect(200);
    assert_eq!(done.body["approval_status"], "approved");
}

#[tokio::test]
async fn approvers_are_those_a_policy_names() {
    let api = Api::start().await;
    let group = json!({"name": "finance", "members": ["Bob@Example.com"]});
    api.call("PUT", "/api/v1/groups/", &api.as_("ada"), Some(group))
        .await
        .expect(200);
    let run = api
        .asking(json!({"approvers": ["group:finance", "permission:deploy"]}))
        .await;
    let eve = api
        .decide("eve", "approve", run, "", None)
        .await
        .expect(403);
    assert_eq!(eve.detail(), "You are no approver of the stage `approval`");
    api.decide("bob", "approve", run, "", None)
        .await
        .expect(200);
    let may = [Permission::Read, Permission::Write];
    let reader = api.token_of("bob@example.com", Some(ACME), &may);
    let path = format!("/api/v1/flow_runs/approve?flow_run_id={run}");
    api.call("PUT", &path, &reader, None).await.expect(403);
}

#[tokio::test]
async fn a_reason_is_given_where_one_is_asked_for() {
    let api = Api::start().await;
    let run = api.asking(json!({"reason_required": true})).await;
    for words in [None, Some(json!({"comment": "  "}))] {
        let answer = api.decide("bob", "approve", run, "", words).await;
        assert_eq!(answer.fault(), "body.comment: missing");
    }
    api.decide("bob", "reject", run, "&comment=no+budget", None)
        .await
        .expect(200);
    let seen = api.seen(run).await;
    assert_eq!(seen["reason"], "rejected by bob@example.com: no budget");
}
