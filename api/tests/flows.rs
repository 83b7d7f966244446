//! Flows: posted, checked, edited as versions, deleted.

use serde_json::{Value, json};

use crate::harness::{Api, faults};

const PATH: &str = "/api/v1/flows/";

#[tokio::test]
async fn a_flow_is_answered_with_every_field_of_the_contract() {
    let api = Api::start().await;
    let mut body = api.flow_body().await;
    body["task_operations"][0]["x"] = json!(12);
    body["task_operations"][0]["y"] = json!(-0.5);
    body["task_operations"][0]["instruction"] = json!("Join them");
    body["task_operations"][0]["retry"] = json!({"max_attempts": 5});
    body["task_operations"][0]["when"] = json!("tasks.left.result.x == 1");
    body["task_operations"][0]["timeout_seconds"] = json!(1.5);
    body["task_operations"][0]["trigger_rule"] = json!("all_done");
    body["task_operations"][0]["sorted_index"] = json!(99);
    body["dependencies"][0]["instruction"] = json!("left first");
    body["on_failure"] = json!("continue");
    body["timeout_seconds"] = json!(60);
    body["approval"] = json!({"mode": "required", "count": 1});
    let made = api.post(PATH, body.clone()).await.expect(200).body;
    assert_eq!(made["name"], "Sample Flow");
    assert_eq!(made["version"], 1);
    assert_eq!(made["on_failure"], "continue");
    assert_eq!(made["approval"], body["approval"]);
    assert_eq!(made["timeout_seconds"], 60);
    assert_eq!(made["created_by_email"], "ada@example.com");
    let operations = made["task_operations"].as_array().unwrap();
    let places: Vec<&Value> = operations
        .iter()
        .map(|operation| &operation["sorted_index"])
        .collect();
    assert_eq!(places, [&json!(2), &json!(0), &json!(1)]);
    for (operation, posted) in operations
        .iter()
        .zip(body["task_operations"].as_array().unwrap())
    {
        for (field, value) in posted.as_object().unwrap() {
            if field != "sorted_index" {
                assert_eq!(operation[field], *value, "{field}");
            }
        }
        for field in [
            "name",
            "task_definition",
            "index",
            "instruction",
            "x",
            "y",
            "sorted_index",
        ] {
            assert!(operation.get(field).is_some(), "{field}");
        }
        check_audit(operation, &made);
    }
    for dependency in made["dependencies"].as_array().unwrap() {
        for field in [
            "source_task_operation",
            "target_task_operation",
            "instruction",
        ] {
            assert!(dependency.get(field).is_some(), "{field}");
        }
        check_audit(dependency, &made);
    }
    let read = api
        .get(&format!("{PATH}?id={}", made["id"].as_str().unwrap()))
        .await
        .expect(200);
    assert_eq!(read.body, made);
}

fn check_audit(part: &Value, flow: &Value) {
    assert!(part["id"].as_str().unwrap().parse::<uuid::Uuid>().is_ok());
    assert_eq!(part["flow"], flow["id"]);
    for field in [
        "created_date",
        "modified_date",
        "created_by_email",
        "modified_by_email",
    ] {
        assert_eq!(part[field], flow[field], "{field}");
    }
}

#[tokio::test]
async fn an_empty_flow_is_a_flow() {
    let api = Api::start().await;
    let body = json!({"name": "Nothing", "task_operations": [], "dependencies": []});
    let made = api.post(PATH, body).await.expect(200).body;
    assert_eq!(made["task_operations"], json!([]));
}

#[tokio::test]
async fn every_fault_of_a_graph_is_listed_and_nothing_stored() {
    let api = Api::start().await;
    let before = api.rows().await;
    let echo = api.definition("core.echo").await;
    let sleep = api.definition("core.sleep").await;
    let nothing = "0192f3a4-0000-7000-8000-00000000abcd";
    let body = json!({
        "name": "Wrong",
        "task_operations": [
            {"name": "Fetch", "task_definition": echo, "index": 1, "arguments": {}},
            {"name": "Join", "task_definition": echo, "index": 2, "arguments": {"a": "{{ tasks. }}"}},
            {"name": "Same", "task_definition": echo, "index": 2, "arguments": {}},
            {"name": "Unknown", "task_definition": nothing, "index": 3},
            {"name": "Sleep", "task_definition": sleep, "index": 4, "arguments": {"second": 1}},
        ],
        "dependencies": [
            {"source_task_operation": 1, "target_task_operation": 1},
            {"source_task_operation": 1, "target_task_operation": 9},
            {"source_task_operation": 3, "target_task_operation": 4},
            {"source_task_operation": 3, "target_task_operation": 4},
        ],
    });
    let found = api.post(PATH, body).await.faults();
    let places: Vec<&str> = found.iter().map(|(loc, _)| loc.as_str()).collect();
    for place in [
        "body.task_operations.1.arguments.a",
        "body.task_operations.2.index",
        "body.task_operations.3.task_definition",
        "body.task_operations.4.arguments.second",
        "body.task_operations.4.arguments.seconds",
    ] {
        assert!(places.contains(&place), "{place} is not in {places:?}");
    }
    let edges = places
        .iter()
        .filter(|place| place.starts_with("body.dependencies."))
        .count();
    assert!(edges >= 3, "{places:?}");
    assert_eq!(api.rows().await, before);
}

#[tokio::test]
async fn a_cycle_is_named_by_its_tasks() {
    let api = Api::start().await;
    let before = api.rows().await;
    let mut body = api.flow_body().await;
    let back = json!({"source_task_operation": 7, "target_task_operation": 1});
    body["dependencies"].as_array_mut().unwrap().push(back);
    let answer = api.post(PATH, body).await;
    assert!(
        answer.faults().iter().any(|(_, kind)| kind == "cycle"),
        "{}",
        answer.text
    );
    assert!(
        answer.text.contains("Left → Join → Left") || answer.text.contains("Join → Left → Join")
    );
    assert_eq!(api.rows().await, before);
}

#[tokio::test]
async fn what_a_later_version_reads_is_refused_by_name() {
    let api = Api::start().await;
    let mut body = api.flow_body().await;
    body["approval"] = json!({"counts": 1});
    body["priority"] = json!(1);
    body["task_operations"][1]["for_each"] = json!("[1, 2]");
    let expected = faults([
        ("body.approval.counts", "not_supported"),
        ("body.priority", "not_supported"),
        ("body.task_operations.1.for_each", "not_supported"),
    ]);
    assert_eq!(api.post(PATH, body).await.faults(), expected);
}

#[tokio::test]
async fn a_flow_of_ten_thousand_tasks_is_taken_and_one_more_is_not() {
    let api = Api::start().await;
    let echo = api.definition("core.echo").await;
    let chain = |size: u32| {
        json!({
            "name": "Long",
            "task_operations": (0..size).map(|index| json!({
                "name": format!("t{index}"), "task_definition": echo, "index": index, "arguments": {},
            })).collect::<Vec<_>>(),
            "dependencies": (1..size).map(|index| json!({
                "source_task_operation": index - 1, "target_task_operation": index,
            })).collect::<Vec<_>>(),
        })
    };
    let made = api.post(PATH, chain(10_000)).await.expect(200).body;
    assert_eq!(made["task_operations"][9_999]["sorted_index"], 9_999);
    let answer = api.post(PATH, chain(10_001)).await;
    assert!(
        answer
            .faults()
            .iter()
            .all(|(loc, _)| loc == "body.task_operations"),
        "{}",
        answer.text
    );
    let mut cyclic = chain(10_000);
    let back = json!({"source_task_operation": 9_999, "target_task_operation": 0});
    cyclic["dependencies"].as_array_mut().unwrap().push(back);
    assert_eq!(api.post(PATH, cyclic).await.status.as_u16(), 422);
}

#[tokio::test]
async fn an_edit_is_a_new_version_that_keeps_the_ids_of_what_stayed() {
    let api = Api::start().await;
    let made = api.post(PATH, api.flow_body().await).await.expect(200).body;
    let mut body = api.flow_body().await;
    body["id"] = made["id"].clone();
    body["name"] = json!("Renamed");
    body["task_operations"].as_array_mut().unwrap().pop();
    body["dependencies"].as_array_mut().unwrap().pop();
    body["task_operations"][0]["arguments"] = json!({"one": "{{ tasks.left.result.x }}"});
    let bob = api.token_of("bob@example.com", None, &neena_api::auth::Permission::ALL);
    let edited = api
        .call("PUT", PATH, &bob, Some(body))
        .await
        .expect(200)
        .body;
    assert_eq!(edited["id"], made["id"]);
    assert_eq!(edited["version"], 2);
    assert_eq!(edited["name"], "Renamed");
    assert_eq!(edited["created_by_email"], "ada@example.com");
    assert_eq!(edited["modified_by_email"], "bob@example.com");
    for at in [0, 1] {
        let (before, after) = (&made["task_operations"][at], &edited["task_operations"][at]);
        assert_eq!(after["id"], before["id"]);
        assert_eq!(after["created_date"], before["created_date"]);
        assert_eq!(after["created_by_email"], "ada@example.com");
        assert_eq!(after["modified_by_email"], "bob@example.com");
    }
    assert_eq!(api.count("SELECT count(*) FROM flow_versions").await, 2);
    let read = api
        .get(&format!("{PATH}?id={}", made["id"].as_str().unwrap()))
        .await;
    assert_eq!(read.body, edited);
}

#[tokio::test]
async fn an_edit_with_faults_or_of_nothing_changes_nothing() {
    let api = Api::start().await;
    let made = api.post(PATH, api.flow_body().await).await.expect(200).body;
    let mut body = api.flow_body().await;
    let found = api.put(PATH, body.clone()).await.faults();
    assert_eq!(found, faults([("body.id", "missing")]));
    body["id"] = json!("0192f3a4-0000-7000-8000-00000000abcd");
    body["dependencies"][0]["source_task_operation"] = json!(99);
    let found = api.put(PATH, body.clone()).await.faults();
    assert!(
        found.contains(&("body.id".to_owned(), "unknown_id".to_owned())),
        "{found:?}"
    );
    assert!(found.len() > 1, "{found:?}");
    body["id"] = made["id"].clone();
    assert_eq!(api.put(PATH, body).await.status.as_u16(), 422);
    assert_eq!(api.count("SELECT count(*) FROM flow_versions").await, 1);
    let read = api
        .get(&format!("{PATH}?id={}", made["id"].as_str().unwrap()))
        .await;
    assert_eq!(read.body, made);
}

#[tokio::test]
async fn edits_at_the_same_time_lose_nothing_silently() {
    let api = Api::start().await;
    let id = api.flow().await;
    let mut body = api.flow_body().await;
    body["id"] = json!(id);
    let edits = (0..8).map(|_| api.put(PATH, body.clone()));
    let answers = futures_util::future::join_all(edits).await;
    let done = answers.iter().filter(|answer| answer.status == 200).count();
    assert!(
        answers
            .iter()
            .all(|answer| matches!(answer.status.as_u16(), 200 | 409))
    );
    let read = api.get(&format!("{PATH}?id={id}")).await.body;
    assert_eq!(read["version"], done + 1);
}

#[tokio::test]
async fn a_deleted_flow_is_answered_once_more_and_gone() {
    let api = Api::start().await;
    let id = api.flow().await;
    let path = format!("{PATH}?id={id}");
    let deleted = api
        .call("DELETE", &path, &api.token(), None)
        .await
        .expect(200)
        .body;
    assert_eq!(deleted["id"], id.to_string());
    assert_eq!(deleted["task_operations"].as_array().unwrap().len(), 3);
    assert_eq!(api.get(&path).await.expect(404).detail(), "Flow not found");
    api.call("DELETE", &path, &api.token(), None)
        .await
        .expect(404);
    assert_eq!(api.get("/api/v1/flows/all").await.body, json!([]));
}

#[tokio::test]
async fn ten_thousand_definitions_that_are_not_there_are_looked_up_and_refused() {
    let api = Api::start().await;
    let operations: Vec<Value> = (0..10_000)
        .map(|index| json!({"name": "t", "task_definition": uuid::Uuid::now_v7(), "index": index}))
        .collect();
    let body = json!({"name": "Nowhere", "task_operations": operations, "dependencies": []});
    let found = api.post(PATH, body).await.faults();
    assert!(found.len() >= 100);
    assert!(
        found
            .iter()
            .any(|(_, kind)| kind == "unknown_task_definition")
    );
}
