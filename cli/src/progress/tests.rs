#![expect(clippy::unwrap_used, reason = "tests")]

use serde_json::{Value, json};

use super::*;

fn run(tasks: Value) -> Run {
    serde_json::from_value(json!({
        "id": "r", "flow": "f", "flow_request": "q", "status": "in_progress", "approval_status": "approved",
        "triggered_time": null, "end_time": null, "triggered_by": null, "task_runs": tasks,
    }))
    .unwrap()
}

fn task(status: &str, attempt: u32, error: Value) -> Value {
    json!({
        "id": "t", "task_operation_index": 3, "status": status, "attempt": attempt, "error": error,
        "start_time": "2026-01-01T00:00:00.000000Z", "end_time": "2026-01-01T00:00:00.500000Z", "result": 1,
    })
}

#[test]
fn each_change_of_a_task_is_told_once() {
    let steps = [Step {
        index: 3,
        name: "Fetch".into(),
        task: "core.echo".into(),
    }];
    let mut tracker = Tracker::new(&steps);
    let error = json!({"type": "timeout", "message": "took\ntoo long"});
    let mut told = Vec::new();
    for tasks in [
        json!([]),
        json!([task("in_progress", 1, Value::Null)]),
        json!([task("in_progress", 1, Value::Null)]),
        json!([task("pending", 2, error.clone())]),
        json!([task("in_progress", 2, Value::Null)]),
        json!([task("completed", 2, Value::Null)]),
        json!([task("completed", 2, Value::Null)]),
    ] {
        told.extend(tracker.changes(&run(tasks)).iter().map(line));
    }
    assert_eq!(
        told,
        [
            "  in_progress  Fetch",
            "  retrying     Fetch  attempt 2  timeout: took too long",
            "  in_progress  Fetch  attempt 2",
            "  completed    Fetch  attempt 2  500 ms",
        ]
    );
}

#[test]
fn a_task_of_a_flow_that_is_gone_is_told_by_its_number() {
    let changes = Tracker::new(&[]).changes(&run(json!([task("failed", 1, Value::Null)])));
    assert_eq!(changes[0].name, "task 3");
    assert!(changes[0].is_final());
}
