//! The surface as a whole: paths, methods, headers, the document and its browser.

use axum::body::Body;
use axum::http::Request;
use serde_json::Value;

use crate::harness::Api;

#[tokio::test]
async fn paths_answer_with_and_without_the_trailing_slash() {
    let api = Api::start().await;
    for path in [
        "users",
        "flow_requests/all",
        "flows/all",
        "integrations/all",
        "flow_runs/preview/all",
    ] {
        for slash in ["", "/"] {
            api.get(&format!("/api/v1/{path}{slash}")).await.expect(200);
        }
    }
    for path in ["/healthz", "/healthz/", "/readyz", "/readyz/"] {
        let request = Request::builder().uri(path).body(Body::empty()).unwrap();
        api.send(request).await.expect(200);
    }
}

#[tokio::test]
async fn what_is_not_there_is_a_404_whatever_it_looks_like() {
    let api = Api::start().await;
    for path in [
        "/",
        "/api",
        "/api/v1",
        "/api/v1/nothing",
        "/api/v2/users/",
        "/x/healthz",
        "/api/v1/healthz",
        "/x/configs",
        "/api/v1//users",
        "/api/v1/users;x=1",
        "/api/v1/users/%2e%2e/flows/all",
        "/api/v1/flow%5fruns/all",
        "/docs/../healthz",
        "/docs/%2e%2e%2fetc%2fpasswd",
        "/docs/..%5c..%5cetc",
        "/API/V1/users",
    ] {
        let answer = api.get(path).await.expect(404);
        assert_eq!(answer.detail(), "Not Found", "{path}");
        assert!(answer.headers.contains_key("x-request-id"));
    }
}

#[tokio::test]
async fn another_method_is_a_405_and_no_header_changes_it() {
    let api = Api::start().await;
    for (method, path) in [
        ("PUT", "/api/v1/users/"),
        ("PATCH", "/api/v1/flows/"),
        ("DELETE", "/api/v1/flow_runs/"),
        ("GET", "/api/v1/flow_runs/approve"),
        ("POST", "/api/v1/flow_runs/approve"),
        ("TRACE", "/api/v1/flow_runs/all"),
        ("POST", "/healthz"),
    ] {
        let answer = api.call(method, path, &api.token(), None).await.expect(405);
        assert_eq!(answer.detail(), "Method Not Allowed", "{method} {path}");
        assert!(answer.headers.contains_key("allow"), "{method} {path}");
    }
    let run = api.run().await;
    let request = Request::builder()
        .uri(format!("/api/v1/flow_runs/approve?flow_run_id={run}"))
        .method("POST")
        .header("authorization", format!("Bearer {}", api.token()))
        .header("x-http-method-override", "PUT")
        .header("x-http-method", "PUT")
        .header("x-method-override", "PUT")
        .body(Body::empty())
        .unwrap();
    api.send(request).await.expect(405);
    let view = api
        .get(&format!("/api/v1/flow_runs/?id={run}"))
        .await
        .expect(200)
        .body;
    assert_eq!(view["approval_status"], Value::Null);
}

#[tokio::test]
async fn every_answer_has_an_id_and_may_not_be_sniffed_or_stored() {
    let api = Api::start().await;
    for path in ["/api/v1/users/", "/api/v1/nothing", "/api/v1/flows/?id=x"] {
        let answer = api.get(path).await;
        assert!(!answer.headers["x-request-id"].is_empty());
        assert_eq!(answer.headers["x-content-type-options"], "nosniff");
        assert_eq!(answer.headers["cache-control"], "no-store");
        assert_eq!(answer.headers["content-type"], "application/json");
        assert!(!answer.headers.contains_key("access-control-allow-origin"));
    }
}

#[tokio::test]
async fn a_plain_request_id_of_the_client_is_kept_and_no_other() {
    let api = Api::start().await;
    for (given, kept) in [
        ("job-17.a_b", true),
        ("a b", false),
        ("<x>", false),
        (&"a".repeat(65), false),
    ] {
        let request = Request::builder()
            .uri("/healthz")
            .header("x-request-id", given)
            .body(Body::empty())
            .unwrap();
        let answer = api.send(request).await.expect(200);
        assert_eq!(answer.headers["x-request-id"] == *given, kept, "{given}");
    }
}

#[tokio::test]
async fn no_origin_is_let_in_from_elsewhere() {
    let api = Api::start().await;
    for origin in ["null", "https://evil.example", "https://evil-neena.example"] {
        let request = Request::builder()
            .method("OPTIONS")
            .uri("/api/v1/flows/")
            .header("origin", origin)
            .header("access-control-request-method", "POST")
            .body(Body::empty())
            .unwrap();
        let answer = api.send(request).await;
        assert!(
            !answer
                .headers
                .keys()
                .any(|name| name.as_str().starts_with("access-control"))
        );
    }
}

#[tokio::test]
async fn the_document_shows_every_path_as_the_reference_prints_it() {
    let api = Api::start().await;
    let request = Request::builder()
        .uri("/api/v1/openapi.json")
        .body(Body::empty())
        .unwrap();
    let document = api.send(request).await.expect(200).body;
    assert!(document["openapi"].as_str().unwrap().starts_with("3.1"));
    let mut operations: Vec<String> = Vec::new();
    let mut ids = std::collections::HashSet::new();
    for (path, item) in document["paths"].as_object().unwrap() {
        operations.extend(
            item.as_object()
                .unwrap()
                .keys()
                .map(|method| format!("{method} {path}")),
        );
    }
    for item in document["paths"].as_object().unwrap().values() {
        for operation in item.as_object().unwrap().values() {
            assert!(ids.insert(operation["operationId"].as_str().unwrap().to_owned()));
        }
    }
    operations.sort();
    let expected = [
        "delete /api/v1/delegations/",
        "delete /api/v1/flow_requests/",
        "delete /api/v1/flows/",
        "delete /api/v1/groups/",
        "delete /api/v1/notification_hooks/",
        "delete /api/v1/policies/",
        "delete /api/v1/standing_approvals/",
        "get /api/v1/approvals/all",
        "get /api/v1/approvals/link",
        "get /api/v1/decisions/all",
        "get /api/v1/decisions/export",
        "get /api/v1/delegations/all",
        "get /api/v1/flow_requests/",
        "get /api/v1/flow_requests/all",
        "get /api/v1/flow_runs/",
        "get /api/v1/flow_runs/all",
        "get /api/v1/flow_runs/all_for_flow_id",
        "get /api/v1/flow_runs/plan",
        "get /api/v1/flow_runs/plan/canonical",
        "get /api/v1/flow_runs/plan_diff",
        "get /api/v1/flow_runs/preview/all",
        "get /api/v1/flow_runs/with_flow_result",
        "get /api/v1/flows/",
        "get /api/v1/flows/all",
        "get /api/v1/groups/all",
        "get /api/v1/integrations/all",
        "get /api/v1/notification_hooks/",
        "get /api/v1/policies/",
        "get /api/v1/standing_approvals/all",
        "get /api/v1/task_definitions/",
        "get /api/v1/task_definitions/all",
        "get /api/v1/users/",
        "get /healthz",
        "get /metrics",
        "get /readyz",
        "post /api/v1/approvals/link",
        "post /api/v1/delegations/",
        "post /api/v1/flow_requests/",
        "post /api/v1/flow_requests/bulk",
        "post /api/v1/flow_runs/",
        "post /api/v1/flow_runs/bulk",
        "post /api/v1/flows/",
        "post /api/v1/flows/execute",
        "post /api/v1/notification_hooks/",
        "post /api/v1/standing_approvals/",
        "post /api/v1/users/create_if_not_exists",
        "put /api/v1/flow_requests/",
        "put /api/v1/flow_runs/approve",
        "put /api/v1/flow_runs/approve/bulk",
        "put /api/v1/flow_runs/cancel",
        "put /api/v1/flow_runs/reject",
        "put /api/v1/flow_runs/reject/bulk",
        "put /api/v1/flow_runs/retry",
        "put /api/v1/flows/",
        "put /api/v1/groups/",
        "put /api/v1/integrations/sync",
        "put /api/v1/policies/",
        "put /api/v1/standing_approvals/approve",
    ];
    assert_eq!(operations, expected);
    check_references(&document, &document);
    let operation = &document["paths"]["/api/v1/flow_runs/approve"]["put"];
    assert_eq!(operation["security"][0]["bearer"], Value::Array(Vec::new()));
    assert!(
        operation["description"]
            .as_str()
            .unwrap()
            .contains("`approve`")
    );
    assert_eq!(
        operation["responses"]["422"]["content"]["application/json"]["schema"]["$ref"],
        "#/components/schemas/ValidationErrors"
    );
    assert_eq!(
        document["components"]["securitySchemes"]["bearer"]["scheme"],
        "bearer"
    );
    let parameters = &document["paths"]["/api/v1/flow_runs/"]["post"]["parameters"];
    assert_eq!(parameters[0]["name"], "Idempotency-Key");
    let limits = &document["components"]["schemas"]["NewFlowRequest"]["properties"];
    assert_eq!(limits["request_instructions"]["minLength"], 8);
}

/// Every `$ref` leads somewhere.
fn check_references(document: &Value, part: &Value) {
    match part {
        Value::Object(fields) => {
            if let Some(Value::String(way)) = fields.get("$ref") {
                let there = document.pointer(way.trim_start_matches('#'));
                assert!(there.is_some(), "{way} leads nowhere");
            }
            fields
                .values()
                .for_each(|field| check_references(document, field));
        }
        Value::Array(items) => items
            .iter()
            .for_each(|item| check_references(document, item)),
        _ => {}
    }
}

#[tokio::test]
async fn the_document_can_be_browsed_with_nothing_from_elsewhere() {
    let api = Api::start().await;
    let get = async |path: &str| {
        api.send(Request::builder().uri(path).body(Body::empty()).unwrap())
            .await
    };
    let moved = get("/docs").await;
    assert!(moved.status.is_redirection());
    assert_eq!(moved.headers["location"], "/docs/");
    let page = get("/docs/").await.expect(200);
    assert!(
        page.headers["content-type"]
            .to_str()
            .unwrap()
            .starts_with("text/html")
    );
    assert!(
        page.headers["content-security-policy"]
            .to_str()
            .unwrap()
            .contains("default-src 'none'")
    );
    for part in page
        .text
        .split(['"', '\''])
        .filter(|part| part.ends_with(".js") || part.ends_with(".css"))
    {
        assert!(
            !part.starts_with("http") && !part.starts_with("//"),
            "{part}"
        );
        get(&format!("/docs/{}", part.trim_start_matches("./")))
            .await
            .expect(200);
    }
    let script = get("/docs/swagger-initializer.js").await.expect(200);
    assert!(script.text.contains("/api/v1/openapi.json"));
}

#[tokio::test]
async fn the_browser_is_given_compressed_to_whoever_takes_that() {
    let api = Api::start().await;
    let get = async |takes: Option<&str>| {
        let mut request = Request::builder().uri("/docs/swagger-ui.css");
        if let Some(takes) = takes {
            request = request.header("accept-encoding", takes);
        }
        let answer = api.send(request.body(Body::empty()).unwrap()).await;
        assert_eq!(answer.headers["vary"], "accept-encoding");
        answer.expect(200)
    };
    for takes in [
        None,
        Some("identity"),
        Some("br, gzip;q=0"),
        Some("x-gzip-2"),
    ] {
        let answer = get(takes).await;
        assert!(!answer.headers.contains_key("content-encoding"));
        assert!(answer.text.contains(".swagger-ui"), "{takes:?}");
    }
    for takes in ["gzip", "deflate, GZIP;q=0.5, br"] {
        let answer = get(Some(takes)).await;
        assert_eq!(answer.headers["content-encoding"], "gzip");
        assert!(!answer.text.contains(".swagger-ui"), "{takes}");
    }
}
