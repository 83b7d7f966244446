//! The user behind a token.

use neena_api::auth::Permission::{Read, Write};
use serde_json::json;

use crate::harness::Api;

const ME: &str = "/api/v1/users/";
const CREATE: &str = "/api/v1/users/create_if_not_exists";

#[tokio::test]
async fn the_current_user_has_every_field_of_the_contract() {
    let api = Api::start().await;
    let answer = api
        .call(
            "GET",
            ME,
            &api.token_of("ada@example.com", None, &[Read, Write]),
            None,
        )
        .await;
    let user = answer.expect(200).body;
    assert_eq!(user["email"], "ada@example.com");
    assert_eq!(user["full_name"], "ada@example.com", "nobody told another");
    assert_eq!(user["auth0_id"], "local|ada@example.com");
    assert_eq!(user["permissions"], json!(["read", "write"]));
    assert!(user["id"].as_str().unwrap().parse::<uuid::Uuid>().is_ok());
    assert!(
        user["organization"]
            .as_str()
            .unwrap()
            .parse::<uuid::Uuid>()
            .is_ok()
    );
}

#[tokio::test]
async fn the_same_bearer_stays_the_same_user_and_is_written_once() {
    let api = Api::start().await;
    let first = api.get(ME).await.expect(200).id();
    let before = api.db.commits().durable;
    for _ in 0..3 {
        assert_eq!(api.get(ME).await.expect(200).id(), first);
    }
    assert_eq!(api.db.commits().durable, before);
    assert_eq!(api.count("SELECT count(*) FROM users").await, 1);
}

#[tokio::test]
async fn tokens_without_an_organization_share_the_local_one() {
    let api = Api::start().await;
    let of = async |email, organization| {
        let token = api.token_of(email, organization, &[Read]);
        api.call("GET", ME, &token, None).await.expect(200).body["organization"].clone()
    };
    let local = of("ada@example.com", None).await;
    assert_eq!(of("bob@example.com", None).await, local);
    assert_eq!(of("bob@example.com", Some("local")).await, local);
    let other = of("ada@example.com", Some("org_acme")).await;
    assert_ne!(other, local);
    assert_eq!(of("eve@example.com", Some("org_acme")).await, other);
    let id = "0192f3a4-0000-7000-8000-00000000abcd";
    assert_eq!(of("ada@example.com", Some(id)).await, id);
    assert_eq!(of("ada@example.com", Some(&id.to_uppercase())).await, id);
}

#[tokio::test]
async fn users_are_told_apart_by_their_subject() {
    let api = Api::start().await;
    let id = async |email| {
        let token = api.token_of(email, None, &[Read]);
        api.call("GET", ME, &token, None).await.expect(200).id()
    };
    assert_ne!(id("ada@example.com").await, id("bob@example.com").await);
}

#[tokio::test]
async fn many_first_calls_at_once_make_one_user() {
    let api = Api::start().await;
    let token = api.token();
    let calls = (0..32).map(|_| api.call("GET", ME, &token, None));
    for answer in futures_util::future::join_all(calls).await {
        answer.expect(200);
    }
    assert_eq!(api.count("SELECT count(*) FROM users").await, 1);
    assert_eq!(api.count("SELECT count(*) FROM organizations").await, 1);
}

#[tokio::test]
async fn create_if_not_exists_answers_the_user_without_permissions() {
    let api = Api::start().await;
    let body = json!({
        "email": "ada@example.com", "full_name": "Ada Lovelace", "auth0_id": "auth0|123456789",
    });
    for _ in 0..2 {
        let user = api.post(CREATE, body.clone()).await.expect(200).body;
        assert_eq!(user["email"], "ada@example.com");
        assert_eq!(user["full_name"], "Ada Lovelace");
        assert_eq!(user["auth0_id"], "auth0|123456789");
        assert_eq!(user["permissions"], json!(null));
        assert_eq!(user["id"], api.get(ME).await.body["id"]);
    }
    assert_eq!(api.get(ME).await.body["auth0_id"], "auth0|123456789");
    assert_eq!(api.count("SELECT count(*) FROM users").await, 1);
}

#[tokio::test]
async fn nobody_creates_another_person() {
    let api = Api::start().await;
    let body = json!({"email": "bob@example.com", "auth0_id": "auth0|1"});
    let answer = api.post(CREATE, body).await.expect(403);
    assert_eq!(
        answer.detail(),
        "You can only create a user with your own e-mail"
    );
    assert_eq!(api.count("SELECT count(*) FROM users").await, 1);
    assert_eq!(
        api.count("SELECT count(*) FROM users WHERE auth0_id IS NOT NULL")
            .await,
        0
    );
}

#[tokio::test]
async fn any_token_that_holds_may_ask_who_it_is() {
    let api = Api::start().await;
    let token = api.token_of("ada@example.com", None, &[]);
    let user = api.call("GET", ME, &token, None).await.expect(200).body;
    assert_eq!(user["permissions"], json!([]));
    let body = json!({"email": "ada@example.com", "auth0_id": "auth0|1"});
    api.call("POST", CREATE, &token, Some(body))
        .await
        .expect(200);
}
