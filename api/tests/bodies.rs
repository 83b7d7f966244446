//! What becomes of bodies that are not what a route wants: a 4xx that says where, and nothing stored.

use axum::body::Body;
use axum::http::Request;
use serde_json::{Value, json};

use crate::harness::{Answer, Api, faults, request};

const REQUESTS: &str = "/api/v1/flow_requests/";

async fn post_text(api: &Api, path: &str, body: String) -> Answer {
    api.send(request("POST", path, &api.token(), Some(body)))
        .await
}

async fn post_as(
    api: &Api,
    kind: Option<&str>,
    encoding: Option<&str>,
    body: &'static [u8],
) -> Answer {
    let mut request = Request::builder()
        .method("POST")
        .uri(REQUESTS)
        .header("authorization", format!("Bearer {}", api.token()));
    if let Some(kind) = kind {
        request = request.header("content-type", kind);
    }
    if let Some(encoding) = encoding {
        request = request.header("content-encoding", encoding);
    }
    api.send(request.body(Body::from(body)).unwrap()).await
}

#[tokio::test]
async fn malformed_json_is_located_and_stores_nothing() {
    let api = Api::start().await;
    let before = api.rows().await;
    for (body, at) in [
        ("{", 1),
        ("{\"request_instructions\": }", 25),
        ("[1,]", 3),
        ("nul", 3),
        ("{\"a\": NaN}", 6),
        ("{\"a\": 01}", 7),
        ("{\"a\": \"\\ud800\"}", 13),
        ("{\"a\": 1} x", 9),
        ("\u{feff}{}", 0),
    ] {
        let answer = post_text(&api, REQUESTS, body.to_owned()).await;
        assert_eq!(
            answer.fault(),
            format!("body.{at}: json_invalid"),
            "{body}: {}",
            answer.text
        );
    }
    assert_eq!(api.rows().await, before);
}

#[tokio::test]
async fn text_that_is_not_utf8_is_malformed() {
    let api = Api::start().await;
    let answer = post_as(&api, Some("application/json"), None, b"{\"a\": \"\xff\"}").await;
    assert!(answer.fault().ends_with("json_invalid"));
}

#[tokio::test]
async fn json_too_deep_is_malformed_however_deep() {
    let api = Api::start().await;
    let before = api.rows().await;
    for depth in [128, 10_000, 100_000] {
        for (open, close) in [("[", "]"), ("{\"a\":", "}")] {
            let body = format!("{}1{}", open.repeat(depth), close.repeat(depth));
            let answer = post_text(&api, REQUESTS, body).await;
            assert!(
                answer.fault().ends_with(": json_invalid"),
                "{}",
                answer.text
            );
        }
    }
    assert_eq!(api.rows().await, before);
}

#[tokio::test]
async fn a_missing_body_is_a_missing_field_never_a_wrong_type() {
    let api = Api::start().await;
    for kind in [None, Some("application/json"), Some("text/plain")] {
        assert_eq!(
            post_as(&api, kind, None, b"").await.fault(),
            "body: missing",
            "{kind:?}"
        );
    }
}

#[tokio::test]
async fn a_body_that_does_not_say_it_is_json_is_refused() {
    let api = Api::start().await;
    let before = api.rows().await;
    let body = b"{\"request_instructions\": \"Process this request.\"}";
    for kind in [
        None,
        Some("text/plain"),
        Some("application/x-www-form-urlencoded"),
        Some("multipart/form-data; boundary=x"),
        Some("application/jsonx"),
        Some("application/xml"),
    ] {
        post_as(&api, kind, None, body).await.expect(415);
    }
    for encoding in ["gzip", "br", "deflate"] {
        post_as(&api, Some("application/json"), Some(encoding), body)
            .await
            .expect(415);
    }
    assert_eq!(api.rows().await, before);
    for kind in [
        "application/json",
        "application/json; charset=utf-8",
        "Application/JSON",
        "application/vnd.api+json",
    ] {
        post_as(&api, Some(kind), None, body).await.expect(200);
    }
}

#[tokio::test]
async fn bodies_have_a_limit_and_flows_a_larger_one() {
    let api = Api::start().await;
    let before = api.rows().await;
    let filled = |size: usize| {
        let empty = json!({"request_instructions": ""}).to_string().len();
        json!({"request_instructions": "a".repeat(size - empty)}).to_string()
    };
    let most = 1 << 20;
    let answer = post_text(&api, REQUESTS, filled(most)).await;
    assert_eq!(answer.fault(), "body.request_instructions: string_too_long");
    let answer = post_text(&api, REQUESTS, filled(most + 1))
        .await
        .expect(413);
    assert_eq!(answer.detail(), "The body is larger than 1048576 bytes");
    let answer = post_text(&api, "/api/v1/flows/", filled(8 * most)).await;
    assert_eq!(answer.status.as_u16(), 422);
    post_text(&api, "/api/v1/flows/", filled(8 * most + 1))
        .await
        .expect(413);
    post_text(&api, REQUESTS, filled(50 * most))
        .await
        .expect(413);
    assert_eq!(api.rows().await, before);
}

#[tokio::test]
async fn a_body_whose_size_nobody_announced_is_counted_while_it_is_read() {
    let api = Api::start().await;
    let chunks =
        futures_util::stream::iter((0..200).map(|_| Ok::<_, std::io::Error>(vec![b' '; 10_000])));
    let request = Request::builder()
        .method("POST")
        .uri(REQUESTS)
        .header("authorization", format!("Bearer {}", api.token()))
        .header("content-type", "application/json")
        .body(Body::from_stream(chunks))
        .unwrap();
    api.send(request).await.expect(413);
}

#[tokio::test]
async fn a_body_of_another_shape_is_one_fault() {
    let api = Api::start().await;
    for body in ["[]", "1", "\"text\"", "null", "true"] {
        let answer = post_text(&api, REQUESTS, body.to_owned()).await;
        assert_eq!(answer.fault(), "body: dict_type", "{body}");
    }
}

#[tokio::test]
async fn every_fault_of_a_body_is_listed_at_once() {
    let api = Api::start().await;
    let before = api.rows().await;
    let answer = api
        .post(
            REQUESTS,
            json!({
                "request_instructions": "short",
                "request_metadata": [{"a": 1}, 2, "x"],
                "request_name": "n".repeat(65),
                "flow": "not-a-uuid",
                "organization": 7,
            }),
        )
        .await;
    let expected = faults([
        ("body.flow", "uuid_parsing"),
        ("body.organization", "string_type"),
        ("body.request_instructions", "string_too_short"),
        ("body.request_metadata.1", "dict_type"),
        ("body.request_metadata.2", "dict_type"),
        ("body.request_name", "string_too_long"),
    ]);
    assert_eq!(answer.faults(), expected);
    assert_eq!(api.rows().await, before);
}

#[tokio::test]
async fn faults_deep_in_a_flow_have_their_exact_place() {
    let api = Api::start().await;
    let before = api.rows().await;
    let answer = api
        .post(
            "/api/v1/flows/",
            json!({
                "task_operations": [
                    {"name": "A", "task_definition": "nope", "index": -1},
                    {"task_definition": 3, "index": 1.5, "arguments": []},
                    {"name": "", "index": 2_147_483_648_u32, "retry": {"max_attempts": 0, "backoff": "wild"},
                     "task_definition": "0192f3a4-0000-7000-8000-00000000abcd",
                     "timeout_seconds": 0, "trigger_rule": "never"},
                ],
                "dependencies": [{"source_task_operation": "a"}, 7],
                "on_failure": "explode",
            }),
        )
        .await;
    let expected = faults([
        ("body.name", "missing"),
        ("body.on_failure", "enum"),
        ("body.task_operations.0.task_definition", "uuid_parsing"),
        ("body.task_operations.0.index", "greater_than_equal"),
        ("body.task_operations.1.name", "missing"),
        ("body.task_operations.1.task_definition", "string_type"),
        ("body.task_operations.1.index", "int_from_float"),
        ("body.task_operations.1.arguments", "dict_type"),
        ("body.task_operations.2.name", "string_too_short"),
        ("body.task_operations.2.index", "less_than_equal"),
        (
            "body.task_operations.2.retry.max_attempts",
            "greater_than_equal",
        ),
        ("body.task_operations.2.retry.backoff", "enum"),
        ("body.task_operations.2.timeout_seconds", "greater_than"),
        ("body.task_operations.2.trigger_rule", "enum"),
        ("body.dependencies.0.source_task_operation", "int_type"),
        ("body.dependencies.0.target_task_operation", "missing"),
        ("body.dependencies.1", "dict_type"),
    ]);
    assert_eq!(answer.faults(), expected);
    assert_eq!(api.rows().await, before);
}

#[tokio::test]
async fn a_thousand_faults_are_listed_and_no_more() {
    let api = Api::start().await;
    let body = json!({
        "request_instructions": "Process this request.",
        "request_metadata": vec![1; 300_000],
    });
    let answer = api.post(REQUESTS, body).await;
    let listed = answer.faults();
    assert_eq!(listed.len(), 1_001);
    assert!(listed.contains(&("body".to_owned(), "more_faults".to_owned())));
}

#[tokio::test]
async fn unknown_fields_are_ignored() {
    let api = Api::start().await;
    let body = json!({
        "request_instructions": "Process this request.",
        "id": "0192f3a4-0000-7000-8000-00000000abcd",
        "created_by_email": "eve@example.com",
        "surprise": {"deep": [1, 2, 3]},
    });
    let view = api.post(REQUESTS, body).await.expect(200).body;
    assert_ne!(view["id"], "0192f3a4-0000-7000-8000-00000000abcd");
    assert_eq!(view["created_by_email"], "ada@example.com");
    assert_eq!(view["surprise"], Value::Null);
}

#[tokio::test]
async fn a_million_keys_and_a_text_of_two_megabytes_are_too_large() {
    let api = Api::start().await;
    let keys: String = (0..1_000_000).map(|at| format!("\"k{at}\":1,")).collect();
    post_text(&api, REQUESTS, format!("{{{keys}\"z\":1}}"))
        .await
        .expect(413);
    post_text(&api, REQUESTS, format!("\"{}\"", "a".repeat(2 << 20)))
        .await
        .expect(413);
}

#[tokio::test]
async fn texts_that_are_stored_as_they_are_hold_no_null_character() {
    let api = Api::start().await;
    let body =
        r#"{"request_instructions": "Process\u0000this request.", "request_name": "a\u0000b"}"#;
    let answer = post_text(&api, REQUESTS, body.to_owned()).await;
    let expected = faults([
        ("body.request_instructions", "string_pattern_mismatch"),
        ("body.request_name", "string_pattern_mismatch"),
    ]);
    assert_eq!(answer.faults(), expected);
}

#[tokio::test]
async fn of_a_key_that_stands_twice_the_last_counts() {
    let api = Api::start().await;
    let body = r#"{"request_instructions": 1, "request_instructions": "Process this request."}"#;
    let view = post_text(&api, REQUESTS, body.to_owned())
        .await
        .expect(200)
        .body;
    assert_eq!(view["request_instructions"], "Process this request.");
}

#[tokio::test]
async fn an_integer_that_would_become_another_one_is_refused_where_it_stands() {
    let api = Api::start().await;
    let body = |number: &str| {
        format!(
            r#"{{"request_instructions": "Count to it.", "request_metadata": [{{"n": {number}}}]}}"#
        )
    };
    let refused = post_text(&api, REQUESTS, body("18446744073709551616")).await;
    let answer = refused.expect(422).body;
    assert_eq!(answer["detail"][0]["type"], "int_out_of_range", "{answer}");
    post_text(&api, REQUESTS, body("18446744073709551615"))
        .await
        .expect(200);
}
