use super::*;

#[test]
fn each_fault_is_a_line_with_its_place() {
    let body = r#"{"detail": [
        {"loc": ["body", "task_operations", 2, "arguments", "path"], "msg": "unknown argument", "type": "unknown_argument"},
        {"loc": ["body"], "msg": "no JSON", "type": "json_invalid"},
        {"loc": ["query", "limit"], "msg": "too large", "type": "less_than_equal"}
    ]}"#;
    assert_eq!(
        ClientError::answered(422, body, true).to_string(),
        "task_operations[2].arguments.path: unknown argument\nno JSON\nlimit: too large"
    );
}

#[test]
fn a_refusal_is_told_in_the_servers_words() {
    let error = ClientError::answered(404, r#"{"detail": "Flow run not found"}"#, true);
    assert_eq!(
        error,
        ClientError::Refused {
            status: 404,
            detail: "Flow run not found".to_owned()
        }
    );
    let error = ClientError::answered(401, r#"{"detail": "Not authenticated"}"#, false).to_string();
    assert!(
        error.starts_with("Not authenticated: ") && error.contains("NEENA_TOKEN"),
        "{error}"
    );
}

#[test]
fn an_answer_that_is_none_of_the_api_is_shown_shortened() {
    let error = ClientError::answered(502, "<html>\nBad\u{1b} gateway", true).to_string();
    assert_eq!(
        error,
        "an answer that is none of this API (status 502): <html> Bad  gateway"
    );
}
