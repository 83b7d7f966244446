#![expect(clippy::unwrap_used, reason = "tests")]

use serde_json::json;

use super::*;
use crate::view::TaskDefinition;

fn plan(instructions: &str) -> PlanView {
    plan_of(instructions, Some(2), "2026-11-24T00:00:00.000000Z")
}

/// The plan of a run made of that version of the flow; the request was modified then.
fn plan_of(instructions: &str, version: Option<i64>, modified: &str) -> PlanView {
    let run: Run = serde_json::from_value(json!({
        // Made 2026-11-24 00:00:01.
        "id": "01a20ada-2fe8-7000-8000-000000000000", "flow_version": version, "flow": "f1", "flow_request": "q1", "status": "pending", "approval_status": null,
        "triggered_time": null, "end_time": null, "triggered_by": "ada@example.org", "plan_hash": "abc123",
    }))
    .unwrap();
    let flow: Flow = serde_json::from_value(json!({
        "id": "f1", "name": "Digest", "version": 2, "task_operations": [
            {"name": "Render", "index": 0, "sorted_index": 1, "task_definition": "21"},
            {"name": "Read", "index": 7, "sorted_index": 0, "task_definition": "11"},
        ],
    }))
    .unwrap();
    let request: FlowRequest = serde_json::from_value(json!({
        "id": "q1", "request_instructions": instructions, "request_name": "Weekly",
        "modified_date": modified, "request_metadata": [{"path": "/old", "limit": 5}, {"path": "/srv"}],
    }))
    .unwrap();
    let definition: TaskDefinition = serde_json::from_value(json!({
        "id": "11", "python_method_name": "core.echo", "belongs_to_integration": {"short_name": "core"},
    }))
    .unwrap();
    PlanView::of(&run, &flow, &request, &Tasks::of(&[definition]))
}

#[test]
fn a_plan_shows_flow_request_tasks_in_order_and_hash() {
    let expected = "\
Plan of run 01a20ada-2fe8-7000-8000-000000000000
  flow      Digest (version 2)
  request   Weekly: Digest of this week
  metadata  limit = 5
            path = \"/srv\"
  asked by  ada@example.org
  tasks     1. Read    core.echo
            2. Render  21
  hash      abc123";
    assert_eq!(plan("Digest of this week").to_string(), expected);
}

#[test]
fn what_people_wrote_cannot_steer_the_terminal() {
    let shown = plan("Digest\u{1b}[2Jof\nhash      forged").to_string();
    assert!(!shown.contains('\u{1b}'));
    assert_eq!(
        shown
            .lines()
            .filter(|line| line.trim_start().starts_with("hash"))
            .count(),
        1
    );
}

#[test]
fn what_was_edited_since_the_plan_was_made_is_said() {
    assert_eq!(plan("Digest of this week").changed, [""; 0]);
    let changed = |version, modified| plan_of("Digest of this week", version, modified).changed;
    assert_eq!(changed(Some(1), "2026-11-24T00:00:00.000000Z"), ["flow"]);
    assert_eq!(changed(Some(2), "2026-11-24T00:00:02.000000Z"), ["request"]);
}
