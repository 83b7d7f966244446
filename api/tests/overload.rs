//! When the database is away, and when a handler breaks: a clear answer, and the server lives on.

use std::path::Path;
use std::sync::Arc;

use async_trait::async_trait;
use neena_api::Hosting;
use serde_json::json;

use crate::harness::Api;

#[tokio::test]
async fn a_database_that_is_away_is_a_503_that_says_when_to_come_back() {
    let api = Api::start().await;
    let token = api.token();
    api.get("/api/v1/users/").await.expect(200);
    api.get("/readyz").await.expect(200);
    api.db.close().await;
    let body = json!({"request_instructions": "Process this request."});
    for answer in [
        api.call("POST", "/api/v1/flow_requests/", &token, Some(body))
            .await,
        api.call("GET", "/api/v1/flow_requests/all", &token, None)
            .await,
        api.call("GET", "/readyz", &token, None).await,
    ] {
        let answer = answer.expect(503);
        assert_eq!(answer.headers["retry-after"], "1");
        assert_eq!(answer.detail(), "Overloaded; try again in a moment");
    }
    api.get("/healthz").await.expect(200);
}

#[derive(Debug)]
struct Breaks;

#[async_trait]
impl Hosting for Breaks {
    async fn host(&self, _: &str, _: &str, _: &Path) -> Result<(), String> {
        panic!("secret: /etc/shadow")
    }
}

#[tokio::test]
async fn a_handler_that_panics_is_a_500_with_an_id_and_no_more() {
    let api = Api::start_with(Some(Arc::new(Breaks))).await;
    let manifest = json!({"integrations": [{
        "class_name": "Breaks", "name": "Breaks", "short_name": "breaks", "auth_type": "none",
        "code_digest": "ab".repeat(32), "path": "/srv/breaks.py", "tasks": [],
    }]});
    let answer = api
        .put("/api/v1/integrations/sync", manifest)
        .await
        .expect(500);
    assert_eq!(answer.text, "{\"detail\":\"Internal Server Error\"}");
    assert!(!answer.headers["x-request-id"].is_empty());
    api.get("/api/v1/users/").await.expect(200);
}
