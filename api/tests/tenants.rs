//! No way leads from one organization to another's things: unknown and foreign are the same.

use neena_api::auth::Permission;
use serde_json::{Value, json};
use uuid::Uuid;

use crate::harness::{Answer, Api, clustered};

/// The path of a call about an id.
type PathOf = Box<dyn Fn(Uuid) -> String>;

struct Theirs {
    flow: Uuid,
    request: Uuid,
    run: Uuid,
    organization: String,
}

async fn theirs(api: &Api) -> Theirs {
    let token = api.token_of("eve@other.example", Some("org_other"), &Permission::ALL);
    let me = api
        .call("GET", "/api/v1/users/", &token, None)
        .await
        .expect(200)
        .body;
    Theirs {
        flow: api.flow_of(&token).await,
        request: api.flow_request_of(&token).await,
        run: api.run_of(&token).await,
        organization: me["organization"].as_str().unwrap().to_owned(),
    }
}

/// Everything stored, row by row, but for what any call may write.
async fn everything(api: &Api) -> Vec<String> {
    use sea_orm::{ConnectionTrait, Statement};
    let reader = api.db.reader();
    let backend = reader.get_database_backend();
    let mut all = Vec::new();
    for (table, columns) in [
        (
            "flows",
            "hex(id)||name||version||modified_at||coalesce(deleted_at,0)",
        ),
        ("flow_versions", "hex(flow_id)||version||body"),
        (
            "flow_requests",
            "hex(id)||request_instructions||modified_at||coalesce(deleted_at,0)",
        ),
        (
            "flow_runs",
            "hex(id)||status||coalesce(approval_status,'')||round",
        ),
        ("live_runs", "hex(run_id)||phase||inbox_seq"),
        ("approvals", "hex(id)"),
        ("outbox", "hex(id)"),
    ] {
        let columns = match clustered() {
            true => columns.replace("hex(", "text("),
            false => columns.to_owned(),
        };
        let sql = format!("SELECT {columns} FROM {table} ORDER BY 1");
        let statement = Statement::from_string(backend, sql);
        for row in reader.query_all_raw(statement).await.unwrap() {
            all.push(format!(
                "{table} {}",
                row.try_get_by_index::<String>(0).unwrap()
            ));
        }
    }
    all
}

/// Without what differs from call to call.
fn same(answer: &Answer, id: Uuid) -> (u16, String, Vec<String>) {
    let mut headers: Vec<String> = answer
        .headers
        .keys()
        .map(ToString::to_string)
        .filter(|name| name != "x-request-id")
        .collect();
    headers.sort();
    (
        answer.status.as_u16(),
        answer.text.replace(&id.to_string(), "ID"),
        headers,
    )
}

#[tokio::test]
async fn a_foreign_id_in_a_query_is_a_404_like_an_unknown_one() {
    let api = Api::start().await;
    let theirs = theirs(&api).await;
    let (own_flow, own_request) = (api.flow().await, api.flow_request().await);
    let before = everything(&api).await;
    let cells: Vec<(&str, PathOf, Uuid)> = vec![
        (
            "GET",
            Box::new(|id| format!("flow_requests/?id={id}")),
            theirs.request,
        ),
        (
            "DELETE",
            Box::new(|id| format!("flow_requests/?id={id}")),
            theirs.request,
        ),
        ("GET", Box::new(|id| format!("flows/?id={id}")), theirs.flow),
        (
            "DELETE",
            Box::new(|id| format!("flows/?id={id}")),
            theirs.flow,
        ),
        (
            "GET",
            Box::new(|id| format!("flow_runs/?id={id}")),
            theirs.run,
        ),
        (
            "GET",
            Box::new(|id| format!("flow_runs/with_flow_result?id={id}")),
            theirs.run,
        ),
        (
            "GET",
            Box::new(|id| format!("flow_runs/all_for_flow_id?flow_id={id}")),
            theirs.flow,
        ),
        (
            "GET",
            Box::new(|id| format!("flow_runs/plan?flow_run_id={id}")),
            theirs.run,
        ),
        (
            "PUT",
            Box::new(|id| format!("flow_runs/approve?flow_run_id={id}")),
            theirs.run,
        ),
        (
            "PUT",
            Box::new(|id| format!("flow_runs/reject?flow_run_id={id}")),
            theirs.run,
        ),
        (
            "PUT",
            Box::new(|id| format!("flow_runs/cancel?flow_run_id={id}")),
            theirs.run,
        ),
        (
            "PUT",
            Box::new(|id| format!("flow_runs/retry?flow_run_id={id}")),
            theirs.run,
        ),
        (
            "POST",
            Box::new(move |id| format!("flows/execute?flow_id={id}&flow_request_id={own_request}")),
            theirs.flow,
        ),
        (
            "POST",
            Box::new(move |id| format!("flows/execute?flow_id={own_flow}&flow_request_id={id}")),
            theirs.request,
        ),
        (
            "GET",
            Box::new(|id| format!("task_definitions/?id={id}")),
            theirs.flow,
        ),
    ];
    for (method, path, foreign) in cells {
        let unknown = Uuid::now_v7();
        let call = async |id| {
            let path = format!("/api/v1/{}", path(id));
            api.call(method, &path, &api.token(), None).await
        };
        let (answer, expected) = (call(foreign).await, call(unknown).await);
        assert_eq!(
            answer.status.as_u16(),
            404,
            "{method} {}: {}",
            path(foreign),
            answer.text
        );
        assert_eq!(same(&answer, foreign), same(&expected, unknown));
    }
    assert_eq!(everything(&api).await, before);
}

#[tokio::test]
async fn a_foreign_id_in_a_body_is_a_422_like_an_unknown_one() {
    let api = Api::start().await;
    let theirs = theirs(&api).await;
    let (flow, request) = (api.flow().await, api.flow_request().await);
    let mut edit = api.flow_body().await;
    edit["id"] = json!(null);
    let text = "Process this request.";
    let before = everything(&api).await;
    let organization: Uuid = theirs.organization.parse().unwrap();
    let cells = [
        (
            "POST",
            "flow_requests/",
            json!({"request_instructions": text}),
            "flow",
            theirs.flow,
        ),
        (
            "POST",
            "flow_requests/",
            json!({"request_instructions": text}),
            "organization",
            organization,
        ),
        (
            "PUT",
            "flow_requests/",
            json!({"request_instructions": text}),
            "id",
            theirs.request,
        ),
        (
            "PUT",
            "flow_requests/",
            json!({"id": request, "request_instructions": text}),
            "flow",
            theirs.flow,
        ),
        (
            "PUT",
            "flow_requests/",
            json!({"id": request, "request_instructions": text}),
            "organization",
            organization,
        ),
        ("PUT", "flows/", edit, "id", theirs.flow),
        (
            "POST",
            "flow_runs/",
            json!({"flow_request": request}),
            "flow",
            theirs.flow,
        ),
        (
            "POST",
            "flow_runs/",
            json!({"flow": flow}),
            "flow_request",
            theirs.request,
        ),
    ];
    for (method, path, body, field, foreign) in cells {
        let unknown = Uuid::now_v7();
        let call = async |id: Uuid| {
            let mut body = body.clone();
            body[field] = json!(id);
            api.call(method, &format!("/api/v1/{path}"), &api.token(), Some(body))
                .await
        };
        let (answer, expected) = (call(foreign).await, call(unknown).await);
        assert_eq!(
            answer.fault(),
            format!("body.{field}: unknown_id"),
            "{method} {path}"
        );
        assert_eq!(same(&answer, foreign), same(&expected, unknown));
    }
    assert_eq!(everything(&api).await, before);
}

#[tokio::test]
async fn lists_show_only_the_callers_own() {
    let api = Api::start().await;
    let theirs = theirs(&api).await;
    api.run().await;
    for path in [
        "flow_requests/all",
        "flows/all",
        "flow_runs/all",
        "flow_runs/preview/all",
    ] {
        let listed = api
            .get(&format!("/api/v1/{path}?limit=1000"))
            .await
            .expect(200);
        assert_eq!(listed.body.as_array().unwrap().len(), 1, "{path}");
        for id in [theirs.flow, theirs.request, theirs.run] {
            assert!(!listed.text.contains(&id.to_string()), "{path}");
        }
    }
}

#[tokio::test]
async fn the_same_person_in_another_organization_sees_nothing_of_the_first() {
    let api = Api::start().await;
    let run = api.run().await;
    let elsewhere = api.token_of("ada@example.com", Some("org_other"), &Permission::ALL);
    let path = format!("/api/v1/flow_runs/?id={run}");
    api.call("GET", &path, &elsewhere, None).await.expect(404);
    let listed = api
        .call("GET", "/api/v1/flow_runs/all", &elsewhere, None)
        .await
        .expect(200);
    assert_eq!(listed.body, Value::Array(Vec::new()));
    api.get(&path).await.expect(200);
}
