//! Every route names who may call it, and nobody else may.

use axum::body::Body;
use axum::http::Request;
use neena_api::auth::Permission::{self, Admin, Approve, Read, Write};
use serde_json::Value;

use crate::harness::{Api, request};

/// Routes anybody may call, as exact routes.
const PUBLIC: [&str; 3] = ["/healthz", "/readyz", "/api/v1/approvals/link"];

/// Every documented operation: method, path and, from its description, the permission it needs.
async fn operations(api: &Api) -> Vec<(String, String, Option<Permission>)> {
    let request = Request::builder()
        .uri("/api/v1/openapi.json")
        .body(Body::empty())
        .unwrap();
    let document = api.send(request).await.body;
    let mut found = Vec::new();
    for (path, item) in document["paths"].as_object().unwrap() {
        for (method, operation) in item.as_object().unwrap() {
            if PUBLIC.contains(&path.as_str()) {
                assert_eq!(operation["security"], Value::Null, "{method} {path}");
                continue;
            }
            assert!(
                operation["security"].is_array(),
                "{method} {path} says not who may call it"
            );
            let text = operation["description"].as_str().unwrap();
            let needed = Permission::ALL.into_iter().find(|permission| {
                text.ends_with(&format!("Needs the permission `{permission}`."))
            });
            assert!(
                needed.is_some() || text.ends_with("Needs a token."),
                "{method} {path}: {text}"
            );
            found.push((method.to_uppercase(), path.clone(), needed));
        }
    }
    found
}

#[tokio::test]
async fn a_route_that_is_not_public_wants_a_token() {
    let api = Api::start().await;
    for (method, path, _) in operations(&api).await {
        for path in [
            path.clone(),
            path.trim_end_matches('/').to_owned(),
            format!("{path}?id=x"),
        ] {
            let request = Request::builder()
                .method(method.as_str())
                .uri(&path)
                .body(Body::empty())
                .unwrap();
            let answer = api.send(request).await;
            assert_eq!(answer.status.as_u16(), 401, "{method} {path}");
        }
    }
}

#[tokio::test]
async fn no_permission_implies_another() {
    let api = Api::start().await;
    let before = api.rows().await;
    for (method, path, needed) in operations(&api).await {
        let Some(needed) = needed else { continue };
        let others: Vec<Permission> = Permission::ALL
            .into_iter()
            .filter(|other| *other != needed)
            .collect();
        let token = api.token_of("ada@example.com", None, &others);
        let answer = api
            .send(request(&method, &path, &token, Some("{".to_owned())))
            .await;
        let answer = answer.expect(403);
        assert_eq!(
            answer.detail(),
            format!("The permission `{needed}` is needed"),
            "{method} {path}"
        );
    }
    assert_eq!(api.rows().await, before);
}

#[tokio::test]
async fn a_permission_is_enough_for_its_routes() {
    let api = Api::start().await;
    for (method, path, needed) in operations(&api).await {
        let may: Vec<Permission> = needed.into_iter().collect();
        let token = api.token_of("ada@example.com", None, &may);
        let answer = api.send(request(&method, &path, &token, None)).await;
        assert!(
            matches!(answer.status.as_u16(), 200 | 422),
            "{method} {path}: {}",
            answer.text
        );
    }
}

#[tokio::test]
async fn each_route_needs_what_the_contract_says() {
    let api = Api::start().await;
    for (method, path, needed) in operations(&api).await {
        let expected = match (method.as_str(), path.as_str()) {
            (_, path) if path.starts_with("/api/v1/users/") => None,
            (_, "/api/v1/integrations/sync" | "/metrics") => Some(Admin),
            (_, "/api/v1/notification_hooks/") => Some(Admin),
            (_, "/api/v1/flow_runs/approve" | "/api/v1/flow_runs/reject") => Some(Approve),
            ("PUT", path) if path.ends_with("/bulk") => Some(Approve),
            ("PUT" | "DELETE", "/api/v1/policies/" | "/api/v1/groups/") => Some(Admin),
            ("POST" | "DELETE", "/api/v1/delegations/") => Some(Approve),
            (_, "/api/v1/approvals/all") => Some(Approve),
            ("PUT", "/api/v1/standing_approvals/approve") => Some(Approve),
            ("DELETE", "/api/v1/standing_approvals/") => Some(Approve),
            ("GET", _) => Some(Read),
            _ => Some(Write),
        };
        assert_eq!(needed, expected, "{method} {path}");
    }
}

#[tokio::test]
async fn without_the_claim_a_token_reads_and_writes() {
    let api = Api::start().await;
    let token = neena_api::auth::local::LocalToken {
        email: "ada@example.com",
        permissions: None,
        organization: None,
        ttl: std::time::Duration::from_secs(60),
        issuer: "neena",
        audience: "neena",
    };
    let token = neena_api::auth::local::sign(&api.secret, &token).unwrap();
    let me = api
        .call("GET", "/api/v1/users/", &token, None)
        .await
        .expect(200);
    assert_eq!(me.body["permissions"], serde_json::json!(["read", "write"]));
    let run = api.run_of(&token).await;
    let path = format!("/api/v1/flow_runs/approve?flow_run_id={run}");
    api.call("PUT", &path, &token, None).await.expect(403);
}
