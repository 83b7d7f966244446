//! Lists: newest first, one page, with what belongs to each row.

use serde_json::{Value, json};
use uuid::Uuid;

use crate::harness::{Api, literal};

async fn ids(api: &Api, path: &str) -> Vec<String> {
    let list = api.get(path).await.expect(200).body;
    list.as_array()
        .unwrap()
        .iter()
        .map(|row| row["id"].as_str().unwrap().to_owned())
        .collect()
}

/// Records a task run as a worker would.
async fn record(api: &Api, run: Uuid, index: i64, status: &str, result: &str) {
    api.execute(format!(
        "INSERT INTO task_runs (run_id, idx, item, id, status, epoch, attempt, attempts_before, \
         start_time, end_time, result, result_size, prep_answer) VALUES ({}, {index}, -1, {}, \
         '{status}', 1, 1, 0, 1700000000000001, 1700000000000002, '{result}', {}, '{{\"parameters\":[]}}')",
        literal(run),
        literal(Uuid::now_v7()),
        result.len(),
    ))
    .await;
}

#[tokio::test]
async fn lists_are_newest_first_and_paged() {
    let api = Api::start().await;
    let mut made = Vec::new();
    for _ in 0..5 {
        made.push(api.flow_request().await.to_string());
    }
    made.reverse();
    let path = "/api/v1/flow_requests/all";
    assert_eq!(ids(&api, path).await, made);
    assert_eq!(
        ids(&api, &format!("{path}?skip=1&limit=2")).await,
        made[1..3]
    );
    assert_eq!(
        ids(&api, &format!("{path}?skip=4&limit=1000")).await,
        made[4..]
    );
    assert_eq!(ids(&api, &format!("{path}?skip=5")).await, [""; 0]);
    let flows = [api.flow().await.to_string(), api.flow().await.to_string()];
    assert_eq!(
        ids(&api, "/api/v1/flows/all").await,
        [flows[1].clone(), flows[0].clone()]
    );
    let listed = api.get("/api/v1/flows/all?limit=1").await.body;
    assert_eq!(
        listed[0],
        api.get(&format!("/api/v1/flows/?id={}", flows[1]))
            .await
            .body
    );
}

#[tokio::test]
async fn runs_are_listed_all_and_by_flow() {
    let api = Api::start().await;
    let (flow, request) = (api.flow().await, api.flow_request().await);
    let body = json!({"flow": flow, "flow_request": request});
    let first = api
        .post("/api/v1/flow_runs/", body.clone())
        .await
        .expect(200)
        .id()
        .to_string();
    let second = api
        .post("/api/v1/flow_runs/", body)
        .await
        .expect(200)
        .id()
        .to_string();
    let other = api.run().await.to_string();
    let all = [other.clone(), second.clone(), first.clone()];
    assert_eq!(ids(&api, "/api/v1/flow_runs/all").await, all);
    assert_eq!(ids(&api, "/api/v1/flow_runs/preview/all").await, all);
    assert_eq!(
        ids(&api, "/api/v1/flow_runs/preview/all?skip=2").await,
        all[2..]
    );
    let path = format!("/api/v1/flow_runs/all_for_flow_id?flow_id={flow}");
    assert_eq!(ids(&api, &path).await, all[1..]);
    assert_eq!(ids(&api, &format!("{path}&skip=1&limit=1")).await, all[2..]);
    let nothing = format!(
        "/api/v1/flow_runs/all_for_flow_id?flow_id={}",
        Uuid::now_v7()
    );
    assert_eq!(
        api.get(&nothing).await.expect(404).detail(),
        "Flow not found"
    );
}

#[tokio::test]
async fn a_preview_has_the_fields_of_the_contract() {
    let api = Api::start().await;
    let run = api.run().await;
    let preview = api
        .get("/api/v1/flow_runs/preview/all")
        .await
        .expect(200)
        .body;
    let read = api.get(&format!("/api/v1/flow_runs/?id={run}")).await.body;
    assert_eq!(
        preview,
        json!([{
            "id": run,
            "flow_name": "Sample Flow",
            "flow_request_instructions": "Process this request.",
            "approval_status": null,
            "start_time": read["triggered_time"],
            "status": "pending",
            "end_time": null,
        }])
    );
}

#[tokio::test]
async fn task_runs_stand_in_topological_order_with_every_field() {
    let api = Api::start().await;
    let run = api.run().await;
    for index in [7, 2, 1] {
        record(
            &api,
            run,
            index,
            "completed",
            "{\"b\": 1.0,\"a\":12345678901234567890123}",
        )
        .await;
    }
    let listed = api.get("/api/v1/flow_runs/all").await;
    assert!(
        listed
            .text
            .contains("{\"b\": 1.0,\"a\":12345678901234567890123}"),
        "passed through"
    );
    let tasks = listed.body[0]["task_runs"].as_array().unwrap().clone();
    let order: Vec<i64> = tasks
        .iter()
        .map(|task| task["task_operation_index"].as_i64().unwrap())
        .collect();
    assert_eq!(order, [1, 2, 7]);
    let task = &tasks[0];
    assert_eq!(task["flow_run"], run.to_string());
    assert_eq!(task["status"], "completed");
    assert_eq!(task["item_index"], Value::Null);
    assert_eq!(task["start_time"], "2023-11-14T22:13:20.000001Z");
    assert_eq!(task["end_time"], "2023-11-14T22:13:20.000002Z");
    assert_eq!(task["error"], Value::Null);
    assert_eq!(task["attempt"], 1);
    assert_eq!(task["task_prep_prompt"], Value::Null);
    assert_eq!(task["task_prep_answer"], json!({"parameters": []}));
    assert!(task["id"].as_str().unwrap().parse::<Uuid>().is_ok());
    let read = api.get(&format!("/api/v1/flow_runs/?id={run}")).await.body;
    assert_eq!(read["task_runs"], Value::Array(tasks));
}

#[tokio::test]
async fn lists_leave_out_large_results_and_single_runs_do_not() {
    let api = Api::start().await;
    let run = api.run().await;
    let (most, larger) = ("a".repeat((16 << 10) - 2), "a".repeat((16 << 10) - 1));
    record(&api, run, 1, "completed", &format!("\"{most}\"")).await;
    record(&api, run, 2, "completed", &format!("\"{larger}\"")).await;
    let listed = api.get("/api/v1/flow_runs/all").await.expect(200).body;
    let tasks = &listed[0]["task_runs"];
    assert_eq!(tasks[0]["result"], most);
    assert_eq!(tasks[1]["result"], Value::Null);
    assert_eq!(tasks[1]["result_size"], (16 << 10) + 1);
    let read = api
        .get(&format!("/api/v1/flow_runs/?id={run}"))
        .await
        .expect(200)
        .body;
    assert_eq!(read["task_runs"][1]["result"], larger);
    let with = api
        .get(&format!("/api/v1/flow_runs/with_flow_result?id={run}"))
        .await
        .expect(200)
        .body;
    assert_eq!(with["task_runs"][1]["result"], larger);
}

#[tokio::test]
async fn only_started_and_skipped_tasks_are_listed() {
    let api = Api::start().await;
    let run = api.run().await;
    record(&api, run, 1, "skipped", "null").await;
    record(&api, run, 2, "pending", "null").await;
    record(&api, run, 7, "pending", "null").await;
    api.execute("UPDATE task_runs SET start_time = NULL WHERE idx = 7".to_owned())
        .await;
    let tasks = api.get(&format!("/api/v1/flow_runs/?id={run}")).await.body["task_runs"].clone();
    let listed: Vec<&Value> = tasks
        .as_array()
        .unwrap()
        .iter()
        .map(|task| &task["task_operation_index"])
        .collect();
    assert_eq!(listed, [1, 2]);
}

#[tokio::test]
async fn a_finished_run_has_its_result_in_the_form_of_the_contract() {
    let api = Api::start().await;
    let run = api.run().await;
    let organization = api.get("/api/v1/users/").await.body["organization"].clone();
    let id = Uuid::now_v7();
    api.execute(format!(
        "INSERT INTO flow_results SELECT id, {}, organization_id, 'Result body', 1700000000000000 \
         FROM flow_runs",
        literal(id)
    ))
    .await;
    let path = format!("/api/v1/flow_runs/with_flow_result?id={run}");
    let result = api.get(&path).await.expect(200).body["flow_result"].clone();
    assert_eq!(
        result,
        json!({
            "body": "Result body", "trigger_run_id": null, "flow_run_id": run,
            "organization_id": organization, "id": id, "created_date": "2023-11-14T22:13:20.000000Z",
            "modified_date": null, "created_by_email": null, "modified_by_email": null,
            "deleted_at": null,
        })
    );
}

#[tokio::test]
async fn a_run_says_what_it_waits_for() {
    let api = Api::start().await;
    let run = api.run().await;
    for (phase, reason, expected) in [
        ("waiting", "NULL", json!("approval")),
        ("ready", "NULL", json!("worker")),
        ("paused", "NULL", json!("resume")),
        ("parked", "'nobody hosts it'", json!("nobody hosts it")),
        ("running", "NULL", Value::Null),
    ] {
        api.execute(format!("UPDATE live_runs SET phase = '{phase}'"))
            .await;
        api.execute(format!("UPDATE flow_runs SET reason = {reason}"))
            .await;
        let read = api.get(&format!("/api/v1/flow_runs/?id={run}")).await.body;
        assert_eq!(read["waiting_for"], expected, "{phase}");
    }
}
