//! Requests that flows be run: made, read, changed, deleted.

use serde_json::{Value, json};

use crate::harness::{Api, faults};

const PATH: &str = "/api/v1/flow_requests/";

#[tokio::test]
async fn a_request_is_answered_with_every_field_of_the_contract() {
    let api = Api::start().await;
    let flow = api.flow().await;
    let organization = api.get("/api/v1/users/").await.body["organization"].clone();
    let body = json!({
        "request_instructions": "Process this request.",
        "request_metadata": [{"key": "value", "n": 12345678901234567890_u64, "f": 1.0}],
        "request_name": "Sample Request",
        "flow": flow,
        "organization": organization,
    });
    let made = api.post(PATH, body.clone()).await.expect(200).body;
    for (field, value) in body.as_object().unwrap() {
        assert_eq!(made[field], *value, "{field}");
    }
    assert_eq!(made["created_by_email"], "ada@example.com");
    assert_eq!(made["modified_by_email"], "ada@example.com");
    let created = made["created_date"].as_str().unwrap();
    assert_eq!(created.len(), "2023-10-15T12:34:56.789012Z".len());
    assert!(created.ends_with('Z'));
    assert_eq!(made["modified_date"], made["created_date"]);
    let read = api
        .get(&format!("{PATH}?id={}", made["id"].as_str().unwrap()))
        .await;
    assert_eq!(read.expect(200).body, made);
}

#[tokio::test]
async fn only_the_instructions_are_required() {
    let api = Api::start().await;
    let body = json!({
        "request_instructions": "12345678", "request_metadata": null, "request_name": null,
        "flow": null, "organization": null,
    });
    let made = api.post(PATH, body).await.expect(200).body;
    assert_eq!(made["request_metadata"], json!([]));
    assert_eq!(made["request_name"], Value::Null);
    assert_eq!(made["flow"], Value::Null);
    api.post(PATH, json!({"request_instructions": "é".repeat(512)}))
        .await
        .expect(200);
    let answer = api
        .post(PATH, json!({"request_instructions": "é".repeat(513)}))
        .await;
    assert_eq!(answer.fault(), "body.request_instructions: string_too_long");
    assert_eq!(
        api.post(PATH, json!({})).await.fault(),
        "body.request_instructions: missing"
    );
}

#[tokio::test]
async fn an_update_keeps_what_is_left_out_and_clears_what_is_null() {
    let api = Api::start().await;
    let flow = api.flow().await;
    let body = json!({
        "request_instructions": "Process this request.",
        "request_metadata": [{"key": "value"}],
        "request_name": "Sample Request",
        "flow": flow,
    });
    let made = api.post(PATH, body).await.expect(200).body;
    let id = made["id"].clone();
    let bob = api.token_of("bob@example.com", None, &neena_api::auth::Permission::ALL);
    let body = json!({"id": id, "request_instructions": "Updated instructions."});
    let changed = api
        .call("PUT", PATH, &bob, Some(body))
        .await
        .expect(200)
        .body;
    assert_eq!(changed["request_instructions"], "Updated instructions.");
    assert_eq!(changed["request_name"], "Sample Request");
    assert_eq!(changed["request_metadata"], json!([{"key": "value"}]));
    assert_eq!(changed["flow"], made["flow"]);
    assert_eq!(changed["created_by_email"], "ada@example.com");
    assert_eq!(changed["modified_by_email"], "bob@example.com");
    assert_eq!(changed["created_date"], made["created_date"]);
    assert!(changed["modified_date"].as_str() > made["modified_date"].as_str());
    let body = json!({
        "id": id, "request_instructions": "Updated instructions.", "request_name": null,
        "request_metadata": null, "flow": null,
    });
    let cleared = api.put(PATH, body).await.expect(200).body;
    assert_eq!(cleared["request_name"], Value::Null);
    assert_eq!(cleared["request_metadata"], json!([]));
    assert_eq!(cleared["flow"], Value::Null);
}

#[tokio::test]
async fn ids_in_a_body_that_name_nothing_are_all_listed() {
    let api = Api::start().await;
    let before = api.rows().await;
    let nothing = "0192f3a4-0000-7000-8000-00000000abcd";
    let body = json!({
        "id": nothing, "request_instructions": "Process this request.", "flow": nothing,
        "organization": nothing,
    });
    let mut expected = faults([
        ("body.flow", "unknown_id"),
        ("body.organization", "unknown_id"),
    ]);
    assert_eq!(api.post(PATH, body.clone()).await.faults(), expected);
    expected.insert(1, ("body.id".to_owned(), "unknown_id".to_owned()));
    assert_eq!(api.put(PATH, body).await.faults(), expected);
    assert_eq!(api.rows().await, before);
}

#[tokio::test]
async fn a_deleted_request_is_answered_once_more_and_gone() {
    let api = Api::start().await;
    let id = api.flow_request().await;
    let path = format!("{PATH}?id={id}");
    let deleted = api
        .call("DELETE", &path, &api.token(), None)
        .await
        .expect(200)
        .body;
    assert_eq!(deleted["id"], id.to_string());
    let answer = api.get(&path).await.expect(404);
    assert_eq!(answer.detail(), "Flow request not found");
    api.call("DELETE", &path, &api.token(), None)
        .await
        .expect(404);
    let body = json!({"id": id, "request_instructions": "Updated instructions."});
    assert_eq!(api.put(PATH, body).await.fault(), "body.id: unknown_id");
    let listed = api.get("/api/v1/flow_requests/all").await.expect(200).body;
    assert_eq!(listed, json!([]));
}

#[tokio::test]
async fn a_request_for_a_deleted_flow_is_refused() {
    let api = Api::start().await;
    let flow = api.flow().await;
    api.call(
        "DELETE",
        &format!("/api/v1/flows/?id={flow}"),
        &api.token(),
        None,
    )
    .await
    .expect(200);
    let body = json!({"request_instructions": "Process this request.", "flow": flow});
    assert_eq!(api.post(PATH, body).await.fault(), "body.flow: unknown_id");
}

#[tokio::test]
async fn text_that_looks_like_sql_is_text() {
    let api = Api::start().await;
    for text in [
        "'; DROP TABLE flows; --",
        "100% \\ \" ' ` $1 ?1 {x}",
        "${jndi:ldap://x} {{7*7}}",
    ] {
        let body = json!({
            "request_instructions": text, "request_name": text, "request_metadata": [{text: text}],
        });
        let made = api.post(PATH, body).await.expect(200).body;
        assert_eq!(made["request_instructions"], text);
        assert_eq!(made["request_metadata"], json!([{text: text}]));
    }
    assert_eq!(api.count("SELECT count(*) FROM flow_requests").await, 3);
}

#[tokio::test]
async fn every_id_that_is_not_the_callers_is_told_at_once() {
    let api = Api::start().await;
    let (id, nobody) = (api.flow_request().await, uuid::Uuid::now_v7());
    let body = json!({"id": id, "request_instructions": "Process this request.",
        "flow": nobody, "organization": nobody});
    let both = [
        ("body.flow", "unknown_id"),
        ("body.organization", "unknown_id"),
    ];
    assert_eq!(api.post(PATH, body.clone()).await.faults(), faults(both));
    assert_eq!(api.put(PATH, body).await.faults(), faults(both));
}
