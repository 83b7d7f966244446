//! `Idempotency-Key`: the same request under the same key takes effect once.

use axum::body::Body;
use serde_json::{Value, json};

use crate::harness::{Answer, Api, request};

const REQUESTS: &str = "/api/v1/flow_requests/";

async fn post_as(api: &Api, token: &str, path: &str, key: &str, body: Option<&Value>) -> Answer {
    let mut request = request("POST", path, token, body.map(Value::to_string));
    request
        .headers_mut()
        .insert("idempotency-key", key.parse().unwrap());
    api.send(request).await
}

async fn post(api: &Api, path: &str, key: &str, body: &Value) -> Answer {
    post_as(api, &api.token(), path, key, Some(body)).await
}

fn sample() -> Value {
    json!({"request_instructions": "Process this request.", "request_metadata": [{"a": 1, "b": 2}]})
}

#[tokio::test]
async fn every_post_takes_effect_once_under_a_key() {
    let api = Api::start().await;
    let (flow, request) = (api.flow().await, api.flow_request().await);
    let execute = format!("/api/v1/flows/execute?flow_id={flow}&flow_request_id={request}");
    let posts = [
        (REQUESTS, Some(sample())),
        ("/api/v1/flows/", Some(api.flow_body().await)),
        (
            "/api/v1/flow_runs/",
            Some(json!({"flow": flow, "flow_request": request})),
        ),
        (&execute, None),
        (
            "/api/v1/users/create_if_not_exists",
            Some(json!({"email": "ada@example.com", "auth0_id": "auth0|1"})),
        ),
    ];
    for (at, (path, body)) in posts.into_iter().enumerate() {
        let key = format!("key-{at}");
        let first = post_as(&api, &api.token(), path, &key, body.as_ref())
            .await
            .expect(200);
        let before = api.rows().await;
        let second = post_as(&api, &api.token(), path, &key, body.as_ref())
            .await
            .expect(200);
        assert_eq!(second.text, first.text, "{path}");
        assert_eq!(second.headers["idempotency-replayed"], "true", "{path}");
        assert_eq!(second.headers["content-type"], "application/json", "{path}");
        assert_eq!(api.rows().await, before, "{path}");
    }
}

#[tokio::test]
async fn another_body_or_route_under_the_same_key_is_refused() {
    let api = Api::start().await;
    post(&api, REQUESTS, "k", &sample()).await.expect(200);
    let before = api.rows().await;
    let other = json!({"request_instructions": "Process that request."});
    let answer = post(&api, REQUESTS, "k", &other).await;
    assert_eq!(
        answer.fault(),
        "header.idempotency-key: idempotency_key_reused"
    );
    let answer = post(&api, "/api/v1/flows/", "k", &api.flow_body().await).await;
    assert_eq!(
        answer.fault(),
        "header.idempotency-key: idempotency_key_reused"
    );
    assert_eq!(api.rows().await, before);
}

#[tokio::test]
async fn how_a_body_is_spaced_does_not_make_it_another() {
    let api = Api::start().await;
    let first = post(&api, REQUESTS, "k", &sample()).await.expect(200);
    let mut spaced = request(
        "POST",
        REQUESTS,
        &api.token(),
        Some(serde_json::to_string_pretty(&sample()).unwrap()),
    );
    spaced
        .headers_mut()
        .insert("idempotency-key", "k".parse().unwrap());
    assert_eq!(api.send(spaced).await.expect(200).text, first.text);
}

#[tokio::test]
async fn many_at_once_under_one_key_have_one_effect() {
    let api = Api::start().await;
    let (flow, request) = (api.flow().await, api.flow_request().await);
    let body = json!({"flow": flow, "flow_request": request, "approval_status": "approved"});
    let calls = (0..32).map(|_| post(&api, "/api/v1/flow_runs/", "k", &body));
    let answers = futures_util::future::join_all(calls).await;
    let first = &answers[0].text;
    for answer in &answers {
        assert_eq!(answer.status, 200, "{}", answer.text);
        assert_eq!(&answer.text, first);
    }
    assert_eq!(api.count("SELECT count(*) FROM flow_runs").await, 1);
    assert_eq!(api.count("SELECT count(*) FROM outbox").await, 1);
}

#[tokio::test]
async fn a_request_that_was_refused_leaves_its_key_free() {
    let api = Api::start().await;
    post(
        &api,
        REQUESTS,
        "k",
        &json!({"request_instructions": "short"}),
    )
    .await
    .expect(422);
    assert_eq!(api.count("SELECT count(*) FROM idempotency_keys").await, 0);
    post(&api, REQUESTS, "k", &sample()).await.expect(200);
}

#[tokio::test]
async fn the_answer_stands_though_what_it_needed_is_gone() {
    let api = Api::start().await;
    let flow = api.flow().await;
    let body = json!({"request_instructions": "Process this request.", "flow": flow});
    let first = post(&api, REQUESTS, "k", &body).await.expect(200);
    api.call(
        "DELETE",
        &format!("/api/v1/flows/?id={flow}"),
        &api.token(),
        None,
    )
    .await
    .expect(200);
    assert_eq!(
        post(&api, REQUESTS, "k", &body).await.expect(200).text,
        first.text
    );
}

#[tokio::test]
async fn a_key_is_its_users_own() {
    let api = Api::start().await;
    let all = neena_api::auth::Permission::ALL;
    let mut ids = std::collections::HashSet::new();
    for token in [
        api.token(),
        api.token_of("bob@example.com", None, &all),
        api.token_of("ada@example.com", Some("org_acme"), &all),
    ] {
        let answer = post_as(&api, &token, REQUESTS, "k", Some(&sample()))
            .await
            .expect(200);
        assert!(ids.insert(answer.id()));
    }
}

#[tokio::test]
async fn a_key_holds_for_a_day_and_is_removed_later() {
    let api = Api::start().await;
    let first = post(&api, REQUESTS, "k", &sample()).await.expect(200).id();
    post(&api, REQUESTS, "old", &sample()).await.expect(200);
    let age = |hours: i64| {
        format!(
            "UPDATE idempotency_keys SET created_at = created_at - {}",
            hours * 3_600_000_000
        )
    };
    api.execute(age(23)).await;
    assert_eq!(
        post(&api, REQUESTS, "k", &sample()).await.expect(200).id(),
        first
    );
    api.execute(age(2)).await;
    let fresh = post(
        &api,
        REQUESTS,
        "k",
        &json!({"request_instructions": "A new day."}),
    )
    .await;
    assert_ne!(fresh.expect(200).id(), first);
    assert_eq!(api.count("SELECT count(*) FROM idempotency_keys").await, 1);
}

#[tokio::test]
async fn a_key_is_one_short_printable_word() {
    let api = Api::start().await;
    for key in ["", &"k".repeat(256)] {
        let answer = post(&api, REQUESTS, key, &sample()).await;
        assert_eq!(
            answer.fault(),
            "header.idempotency-key: idempotency_key_invalid"
        );
    }
    let mut twice = request("POST", REQUESTS, &api.token(), Some(sample().to_string()));
    twice
        .headers_mut()
        .append("idempotency-key", "a".parse().unwrap());
    twice
        .headers_mut()
        .append("idempotency-key", "b".parse().unwrap());
    assert_eq!(
        api.send(twice).await.fault(),
        "header.idempotency-key: idempotency_key_invalid"
    );
    post(&api, REQUESTS, &"k".repeat(255), &sample())
        .await
        .expect(200);
}

#[tokio::test]
async fn a_get_pays_no_heed_to_a_key() {
    let api = Api::start().await;
    let mut get = axum::http::Request::builder()
        .uri("/api/v1/users/")
        .header("authorization", format!("Bearer {}", api.token()))
        .body(Body::empty())
        .unwrap();
    get.headers_mut()
        .insert("idempotency-key", "k".parse().unwrap());
    api.send(get).await.expect(200);
    assert_eq!(api.count("SELECT count(*) FROM idempotency_keys").await, 0);
}
