//! `neena flow apply` and `neena flow list`

use crate::harness::Place;

const FLOW: &str = r#"{"name": "Greeting", "task_operations": [
    {"index": 0, "name": "Greet", "task": "core.echo", "arguments": {"who": "{{ request.metadata.who }}"},
     "retry": {"delay_seconds": 1}}
], "dependencies": []}"#;

#[test]
fn a_flow_is_created_then_unchanged_then_edited() {
    let place = Place::new();
    let server = place.serve();
    place.file("flow.json", FLOW);
    let apply = ["flow", "apply", "flow.json"];
    let created = &server.json(&apply)[0];
    assert_eq!(
        (&created["change"], &created["flow"]["version"]),
        (&"created".into(), &1.into())
    );
    assert_eq!(server.json(&apply)[0]["change"], "unchanged");
    place.file("flow.json", &FLOW.replace("Greet\"", "Salute\""));
    let edited = &server.json(&apply)[0];
    assert_eq!(
        (&edited["change"], &edited["flow"]["version"]),
        (&"edited".into(), &2.into())
    );
    assert_eq!(edited["flow"]["id"], created["flow"]["id"]);
    let list = server.neena(&["flow", "list"]);
    assert_eq!((list.code, list.out.lines().count()), (0, 2), "{list:?}");
    assert!(list.out.contains("Greeting"), "{list:?}");
}

#[test]
fn every_fault_of_a_flow_is_a_line_with_file_and_place() {
    let place = Place::new();
    let server = place.serve();
    place.file(
        "flow.json",
        r#"{"name": "Wrong", "task_operations": [
            {"index": 0, "name": "A", "task": "core.echo", "arguments": {}},
            {"index": 0, "name": "B", "task": "core.sleep", "arguments": {"secs": 1}}
        ], "dependencies": [{"source_task_operation": 0, "target_task_operation": 7}]}"#,
    );
    let said = server.neena(&["flow", "apply", "flow.json"]);
    assert_eq!((said.code, said.out.as_str()), (2, ""), "{said:?}");
    for place in [
        "error: flow.json: task_operations[1].index: ",
        "error: flow.json: task_operations[1].arguments.secs: ",
        "error: flow.json: dependencies[0].target_task_operation: ",
    ] {
        assert!(
            said.err.lines().any(|line| line.starts_with(place)),
            "{place} is missing: {}",
            said.err
        );
    }
    place.file("flow.json", r#"{"name": "Wrong", "task_operations": [{"index": 0, "name": "A", "task": "core.ech"}], "dependencies": []}"#);
    let said = server.neena(&["flow", "apply", "flow.json"]);
    assert!(
        said.err.starts_with(
            "error: flow.json: task_operations[0].task: the server has no task `core.ech`"
        ),
        "{said:?}"
    );
    assert_eq!(server.json(&["flow", "list"]), serde_json::json!([]));
}
