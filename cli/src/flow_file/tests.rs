#![expect(clippy::unwrap_used, reason = "tests")]

use serde_json::json;

use super::*;
use crate::view::TaskDefinition;

fn tasks() -> Tasks {
    let definition = |id: &str, integration: &str, method: &str| -> TaskDefinition {
        serde_json::from_value(json!({
            "id": id, "python_method_name": method, "belongs_to_integration": {"short_name": integration},
        }))
        .unwrap()
    };
    Tasks::of(&[
        definition("11", "core", "core.echo"),
        definition("12", "core", "core.sleep"),
        definition("21", "digest", "read_commits"),
    ])
}

#[test]
fn names_of_tasks_become_ids() {
    let flow = json!({"name": "f", "task_operations": [
        {"name": "a", "index": 0, "task": "core.echo"},
        {"name": "b", "index": 1, "task": "digest.read_commits"},
        {"name": "c", "index": 2, "task_definition": "12"},
    ]});
    let resolved = resolve(flow, &tasks()).unwrap();
    let ids: Vec<&Value> = resolved["task_operations"]
        .as_array()
        .unwrap()
        .iter()
        .map(|operation| &operation["task_definition"])
        .collect();
    assert_eq!(ids, ["11", "21", "12"]);
    assert!(resolved["task_operations"][0].get("task").is_none());
}

#[test]
fn every_name_that_means_nothing_is_listed_with_its_place() {
    let flow = json!({"name": "f", "task_operations": [
        {"name": "a", "index": 0, "task": "core.ecko"},
        {"name": "b", "index": 1, "task": "elsewhere.task"},
        {"name": "c", "index": 2, "task": 7},
        {"name": "d", "index": 3, "task": "core.echo", "task_definition": "11"},
    ]});
    let error = resolve(flow, &tasks()).unwrap_err().to_string();
    let lines: Vec<&str> = error.lines().collect();
    assert_eq!(lines.len(), 4, "{error}");
    assert_eq!(
        lines[0],
        "task_operations[0].task: the server has no task `core.ecko`, but core.echo, core.sleep"
    );
    assert!(
        lines[1].starts_with("task_operations[1].task: ") && lines[1].contains("neena sync"),
        "{error}"
    );
    assert!(lines[3].contains("task_definition"), "{error}");
}

#[test]
fn a_flow_is_the_same_whatever_the_api_adds_and_in_whichever_order() {
    let posted = json!({
        "name": "f",
        "task_operations": [
            {"name": "b", "index": 1, "task_definition": "12", "x": 4, "retry": {"delay_seconds": 1}},
            {"name": "a", "index": 0, "task_definition": "11", "arguments": {"k": "{{ 1 }}"}},
        ],
        "dependencies": [{"source_task_operation": 0, "target_task_operation": 1}],
    });
    let stored = json!({
        "id": "f1", "version": 3, "name": "f", "created_date": "…", "created_by_email": "a@b.c",
        "modified_date": "…", "modified_by_email": "a@b.c", "on_failure": null,
        "task_operations": [
            {"id": "o1", "flow": "f1", "sorted_index": 0, "name": "a", "index": 0, "task_definition": "11",
             "instruction": null, "arguments": {"k": "{{ 1 }}"}},
            {"id": "o2", "flow": "f1", "sorted_index": 1, "name": "b", "index": 1, "task_definition": "12", "x": 4.0, "retry": {"delay_seconds": 1.0}},
        ],
        "dependencies": [{"id": "d1", "flow": "f1", "source_task_operation": 0, "target_task_operation": 1}],
    });
    assert!(is_same(&stored, &posted));
    for (pointer, value) in [
        ("/name", json!("g")),
        ("/task_operations/1/arguments/k", json!("{{ 2 }}")),
        ("/task_operations/0/x", json!(5)),
        ("/dependencies", json!([])),
    ] {
        let mut changed = posted.clone();
        *changed.pointer_mut(pointer).unwrap() = value;
        assert!(!is_same(&stored, &changed), "{pointer}");
    }
}

#[test]
fn a_file_that_is_no_flow_is_refused() {
    let temp = tempfile::tempdir().unwrap();
    let path = temp.path().join("flow.json");
    for (text, part) in [
        ("{", "it is not JSON"),
        ("[]", "a flow is an object"),
        ("{}", "name: "),
    ] {
        std::fs::write(&path, text).unwrap();
        let error = format!("{:#}", read(&path).unwrap_err());
        assert!(error.contains(part), "{error}");
    }
    assert!(
        format!("{:#}", read(&temp.path().join("missing")).unwrap_err()).contains("cannot read it")
    );
}
