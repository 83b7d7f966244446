#![expect(clippy::unwrap_used, reason = "tests")]

use serde_json::json;

use super::*;

fn answer() -> Value {
    let once = json!({"max_attempts": 1, "delay_seconds": 0, "backoff": "constant", "max_delay_seconds": 0});
    json!({
        "flow_run": "r1", "plan_hash": "abc123", "v": 1, "flow": "f1", "flow_name": "Digest",
        "flow_version": 2, "triggered_by": "ada@example.org",
        "request": {"instructions": "Digest of this week", "name": "Weekly",
            "metadata": {"limit": 5, "path": "/srv"}},
        "policy": {"count": 1},
        "operations": [
            {"index": 7, "name": "Read", "instruction": null, "integration": "digest", "method": "read",
             "code_digest": "5f".repeat(32), "when": null, "trigger_rule": "all_success", "retry": once,
             "timeout_seconds": null, "arguments": [
                {"parameter": "path", "source": "metadata", "task_operation": null, "output": null},
                {"parameter": "style", "source": null, "task_operation": null, "output": null}]},
            {"index": 0, "name": "Render", "instruction": "Nicely.", "integration": "core",
             "method": "core.echo", "code_digest": "core.echo@1", "when": "tasks.read.result",
             "trigger_rule": "all_done", "timeout_seconds": 1.5,
             "retry": {"max_attempts": 3, "delay_seconds": 2, "backoff": "exponential", "max_delay_seconds": 300},
             "arguments": {"text": "{{ tasks.read.result }}"}},
            {"index": 3, "name": "Send", "instruction": null, "integration": "mail", "method": "send",
             "code_digest": "5f".repeat(32), "when": null, "trigger_rule": "all_success", "retry": once,
             "timeout_seconds": null, "arguments": [
                {"parameter": "text", "source": "task", "task_operation": 0, "output": null},
                {"parameter": "to", "source": "task", "task_operation": 7, "output": "author"}]},
        ],
        "dependencies": [
            {"source_task_operation": 7, "target_task_operation": 0},
            {"source_task_operation": 0, "target_task_operation": 3},
            {"source_task_operation": 7, "target_task_operation": 3}],
        "on_failure": "continue", "timeout_seconds": 60,
    })
}

fn shown(answer: Value) -> String {
    let plan = serde_json::from_value(answer.clone()).unwrap();
    PlanView { plan, answer }.to_string()
}

#[test]
fn a_plan_shows_everything_that_decides_what_runs() {
    let expected = "\
Plan of run r1
  flow      Digest (version 2)
  request   Weekly: Digest of this week
  metadata  limit = 5
            path = \"/srv\"
  asked by  ada@example.org
  failure   continue
  timeout   60 s
  tasks     1. Read    digest.read  code 5f5f5f5f5f5f
               path = \"/srv\" (metadata)
               style is not given
            2. Render  core.echo  code core.echo@1
               after 1. Read
               note Nicely.
               text = \"{{ tasks.read.result }}\"
               when tasks.read.result
               trigger rule all_done
               retry up to 3 attempts, 2 s apart (exponential, at most 300 s)
               timeout 1.5 s
            3. Send    mail.send  code 5f5f5f5f5f5f
               after 1. Read, 2. Render
               text = result of 2. Render
               to = author of 1. Read
  hash      abc123";
    assert_eq!(shown(answer()), expected);
}

#[test]
fn what_people_wrote_cannot_steer_the_terminal() {
    let forged = "Digest\u{1b}[2Jof\nhash      forged";
    let mut plan = answer();
    plan["flow_name"] = json!(forged);
    plan["request"] = json!({"instructions": forged, "name": forged, "metadata": {forged: forged}});
    plan["triggered_by"] = json!(forged);
    let operation = &mut plan["operations"][1];
    for field in ["name", "instruction", "method", "code_digest", "when"] {
        operation[field] = json!(forged);
    }
    operation["arguments"] = json!({forged: forged});
    let shown = shown(plan);
    assert!(!shown.contains('\u{1b}'));
    let hashes = shown
        .lines()
        .filter(|line| line.trim_start().starts_with("hash"));
    assert_eq!(hashes.count(), 1);
}

#[test]
fn what_is_long_is_cut_and_says_so() {
    let mut plan = answer();
    let many = (0..60).map(|at| (format!("key{at}"), json!("x".repeat(1_000))));
    plan["operations"][1]["arguments"] = many.collect::<Map<_, _>>().into();
    let shown = shown(plan);
    assert!(shown.contains("… and 20 more (--json has them all)"));
    assert!(
        shown.lines().all(|line| line.chars().count() < 250),
        "{shown}"
    );
}
