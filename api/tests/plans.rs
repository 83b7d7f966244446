//! The plan of a run, as it is read before it is approved.

use serde_json::{Value, json};
use uuid::Uuid;

use crate::harness::Api;

async fn plan(api: &Api, run: Uuid) -> Value {
    api.get(&format!("/api/v1/flow_runs/plan?flow_run_id={run}"))
        .await
        .expect(200)
        .body
}

#[tokio::test]
async fn a_plan_tells_all_that_was_hashed() {
    let api = Api::start().await;
    let (echo, evaluate, sleep) = (
        api.definition("core.echo").await,
        api.definition("core.evaluate").await,
        api.definition("core.sleep").await,
    );
    let flow = json!({
        "name": "Sample Flow", "on_failure": "continue", "timeout_seconds": 90.5,
        "task_operations": [
            {"name": "Say", "task_definition": echo, "index": 7, "instruction": "Say it.",
             "arguments": {"x": "{{ tasks.count.result }}", "y": [1, null]}, "when": "true",
             "trigger_rule": "all_done", "timeout_seconds": 2,
             "retry": {"max_attempts": 4, "delay_seconds": 0.5, "backoff": "constant"}},
            {"name": "Count", "task_definition": evaluate, "index": 3, "arguments": {"expression": "1 + 1"}},
            {"name": "Wait", "task_definition": sleep, "index": 1},
        ],
        "dependencies": [{"source_task_operation": 3, "target_task_operation": 7}],
    });
    let flow = api.post("/api/v1/flows/", flow).await.expect(200).id();
    let request = json!({"request_instructions": "Process this request.", "request_name": "Weekly",
        "request_metadata": [{"seconds": 1, "n": 12345678901234567890_u64}, {"seconds": 0}]});
    let request = api
        .post("/api/v1/flow_requests/", request)
        .await
        .expect(200)
        .id();
    let body = json!({"flow": flow, "flow_request": request});
    let run = api.post("/api/v1/flow_runs/", body).await.expect(200);
    let got = plan(&api, run.id()).await;
    let once = json!({"max_attempts": 1, "delay_seconds": 0, "backoff": "constant", "max_delay_seconds": 0});
    let operation = |index: u32, at: u32, name, task: Uuid, method, pure, arguments| {
        json!({
            "index": index, "sorted_index": at, "name": name, "instruction": null,
            "task_definition": task, "integration": "core", "kind": "built_in", "method": method,
            "code_digest": format!("{method}@1"), "pure": pure, "repeatable": true,
            "arguments": arguments, "when": null, "trigger_rule": "all_success", "retry": once,
            "timeout_seconds": null, "approval": null,
        })
    };
    let seconds = json!([{"parameter": "seconds", "source": "metadata", "task_operation": null, "output": null}]);
    let expression = json!({"expression": "1 + 1"});
    let written = json!({"x": "{{ tasks.count.result }}", "y": [1, null]});
    let mut say = operation(7, 2, "Say", echo, "core.echo", true, written);
    say["instruction"] = json!("Say it.");
    say["when"] = json!("true");
    say["trigger_rule"] = json!("all_done");
    say["timeout_seconds"] = json!(2);
    say["retry"] = json!({"max_attempts": 4, "delay_seconds": 0.5, "backoff": "constant", "max_delay_seconds": 300});
    let mut wait = operation(1, 0, "Wait", sleep, "core.sleep", true, seconds);
    wait["pure"] = got["operations"][0]["pure"].clone();
    let expected = json!({
        "flow_run": run.id(), "plan_hash": run.body["plan_hash"], "v": 2, "flow": flow,
        "flow_name": "Sample Flow", "flow_version": 1, "triggered_by": "ada@example.com",
        "request": {"instructions": "Process this request.", "name": "Weekly",
            "metadata": {"seconds": 0, "n": 12345678901234567890_u64}},
        "requester": {"user": got["requester"]["user"], "email": "ada@example.com"},
        "author": {"user": got["requester"]["user"], "email": "ada@example.com"},
        "policy": {
            "mode": "required", "count": 1,
            "stages": [{"name": "approval", "count": 1, "approvers": []}],
            "distinct_from_requester": false, "distinct_from_author": false, "distinct_approvers": true,
            "reason_required": false, "expires_in_seconds": null, "on_expiry": "reject",
            "escalate_to": [], "remind_before_seconds": [], "standing": false,
        },
        "asks": [{
            "gate": null, "task_operation_index": null, "state": "open", "stage": "approval",
            "asked_time": got["asks"][0]["asked_time"], "due_time": null, "escalated": false,
            "approvals": [], "upstream": [], "answer": null, "reason": null,
        }],
        "operations": [
            wait,
            operation(3, 1, "Count", evaluate, "core.evaluate", true, expression),
            say,
        ],
        "dependencies": [{"source_task_operation": 3, "target_task_operation": 7}],
        "on_failure": "continue", "timeout_seconds": 90.5,
    });
    assert_eq!(got, expected);
}

#[tokio::test]
async fn a_value_bound_by_name_tells_the_task_it_comes_from() {
    let api = Api::start().await;
    let parameter = |name: &str, optional| {
        json!({"name": name, "data_type": "string", "position": 1, "doc_string": "A text.",
            "optional": optional})
    };
    let task = |method: &str, parameters: Value, outputs: Value| {
        json!({"task_name": format!("Task {method}"), "python_method_name": method,
            "description": "Does it.", "parameters": parameters, "input_type": "JSON",
            "input_yml": "type: object", "output_type": "JSON", "output_yml": "type: object",
            "output_parameters": outputs, "output_is_list": false, "pure": true, "repeatable": true})
    };
    let read = task("read", json!([]), json!([parameter("text", false)]));
    let mut wanted = [parameter("text", false), parameter("style", true)];
    wanted[1]["position"] = json!(2);
    let print = task("print", json!(wanted), json!([parameter("page", false)]));
    let manifest = json!({"integrations": [{"class_name": "Texts", "name": "Texts and pages",
        "short_name": "texts", "auth_type": "none", "code_digest": "5f".repeat(32),
        "tasks": [read, print]}]});
    api.put("/api/v1/integrations/sync", manifest)
        .await
        .expect(200);
    let flow = json!({
        "name": "Print",
        "task_operations": [
            {"name": "Read", "task_definition": api.definition("read").await, "index": 4},
            {"name": "Print", "task_definition": api.definition("print").await, "index": 5},
        ],
        "dependencies": [{"source_task_operation": 4, "target_task_operation": 5}],
    });
    let flow = api.post("/api/v1/flows/", flow).await.expect(200).id();
    let body = json!({"flow": flow, "flow_request": api.flow_request().await});
    let run = api.post("/api/v1/flow_runs/", body).await.expect(200).id();
    let print = &plan(&api, run).await["operations"][1];
    assert_eq!(print["kind"], "python");
    assert_eq!(print["code_digest"], "5f".repeat(32));
    assert_eq!(
        print["arguments"],
        json!([
            {"parameter": "text", "source": "task", "task_operation": 4, "output": "text"},
            {"parameter": "style", "source": null, "task_operation": null, "output": null},
        ])
    );
}

#[tokio::test]
async fn a_plan_stays_as_it_was_when_flow_and_request_change_or_go() {
    let api = Api::start().await;
    let (flow, request) = (api.flow().await, api.flow_request().await);
    let body = json!({"flow": flow, "flow_request": request});
    let run = api.post("/api/v1/flow_runs/", body).await.expect(200).id();
    let before = plan(&api, run).await;
    let mut edited = api.flow_body().await;
    edited["id"] = json!(flow);
    edited["name"] = json!("Something else");
    edited["task_operations"][1]["arguments"] = json!({"x": 666});
    api.put("/api/v1/flows/", edited).await.expect(200);
    let edited = json!({"id": request, "request_instructions": "Something else.",
        "request_metadata": [{"x": 666}]});
    api.put("/api/v1/flow_requests/", edited).await.expect(200);
    assert_eq!(plan(&api, run).await, before);
    for path in [
        format!("/api/v1/flows/?id={flow}"),
        format!("/api/v1/flow_requests/?id={request}"),
    ] {
        api.call("DELETE", &path, &api.token(), None)
            .await
            .expect(200);
    }
    assert_eq!(plan(&api, run).await, before);
}

#[tokio::test]
async fn a_plan_that_is_not_what_was_hashed_is_not_shown() {
    let api = Api::start().await;
    let run = api.run().await;
    let sql = "UPDATE run_plans SET body = replace(body, 'Process', 'Destroy')";
    api.execute(sql.to_owned()).await;
    let answer = api
        .get(&format!("/api/v1/flow_runs/plan?flow_run_id={run}"))
        .await
        .expect(500);
    assert!(!answer.text.contains("Destroy"), "{}", answer.text);
}
