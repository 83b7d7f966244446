//! `neena run`, `approve`, `reject`, `cancel`, `retry` and `runs`

use serde_json::Value;

use crate::harness::{Place, Server};

const FLOWS: [(&str, &str); 3] = [
    (
        "echo.json",
        r#"{"name": "Echo", "dependencies": [], "task_operations": [
        {"index": 0, "name": "Say", "task": "core.evaluate", "arguments": {"expression": "request.metadata.what"}}]}"#,
    ),
    (
        "fail.json",
        r#"{"name": "Fail", "dependencies": [], "task_operations": [
        {"index": 0, "name": "Break", "task": "core.fail", "arguments": {"message": "as asked", "times": 1}}]}"#,
    ),
    (
        "wait.json",
        r#"{"name": "Wait", "dependencies": [], "task_operations": [
        {"index": 0, "name": "Wait", "task": "core.sleep", "arguments": {"seconds": 60}}]}"#,
    ),
];

fn with_flows(place: &Place) -> Server<'_> {
    let server = place.serve();
    for (name, flow) in FLOWS {
        place.file(name, flow);
        assert_eq!(server.neena(&["flow", "apply", name]).code, 0);
    }
    server
}

/// Makes a run of a flow and answers its id.
fn asked(server: &Server<'_>, flow: &str) -> String {
    let said = server.neena(&["run", flow, "-i", "do what it does"]);
    assert_eq!(said.code, 0, "{said:?}");
    assert!(
        said.err.contains("waits for approval: neena approve "),
        "{said:?}"
    );
    said.out.trim().to_owned()
}

fn status(server: &Server<'_>, run: &str) -> (Value, Value) {
    let run = server.json(&["runs", run]);
    (run["status"].clone(), run["approval_status"].clone())
}

#[test]
fn a_run_that_completes_shows_its_plan_and_prints_its_result() {
    let place = Place::new();
    let server = with_flows(&place);
    let args = [
        "run",
        "Echo",
        "-i",
        "say something",
        "-m",
        "what=hello there",
        "--approve",
        "--watch",
    ];
    let said = server.neena(&args);
    assert_eq!(
        (said.code, said.out.as_str()),
        (0, "hello there\n"),
        "{said:?}"
    );
    for part in [
        "flow      Echo (version 1)",
        "what = \"hello there\"",
        "1. Say  core.evaluate",
        "hash      ",
        "completed    Say",
    ] {
        assert!(said.err.contains(part), "{part} is missing: {}", said.err);
    }
    let list = server.neena(&["runs"]);
    assert!(
        list.out.contains("say something") && list.out.contains("completed"),
        "{list:?}"
    );
}

/// What `approve` says the plan is, without the line that names the run.
fn plan_of(said: &crate::harness::Said) -> String {
    assert_eq!(said.code, 0, "{said:?}");
    let plan = said.err.split_once('\n').unwrap().1;
    let plan = plan.split_once("Approved").unwrap().0;
    // What follows is the difference to the last approved plan, which there is for the second run only.
    let difference = ["No run of this flow", "Nothing has changed"];
    let lines = plan
        .lines()
        .take_while(|line| !difference.iter().any(|words| line.starts_with(words)));
    lines.collect::<Vec<_>>().join("\n")
}

#[test]
fn an_approver_is_shown_the_plan_of_the_run_whatever_became_of_its_flow_and_request() {
    let place = Place::new();
    let server = with_flows(&place);
    let asked = || {
        let args = [
            "run",
            "Echo",
            "-i",
            "say something",
            "-m",
            "what=hello there",
        ];
        let said = server.neena(&args);
        assert_eq!(said.code, 0, "{said:?}");
        said.out.trim().to_owned()
    };
    let (plain, edited, deleted) = (asked(), asked(), asked());
    let told = plan_of(&server.neena(&["approve", &plain]));
    for part in [
        "flow      Echo (version 1)",
        "request   say something",
        "what = \"hello there\"",
        "1. Say  core.evaluate  code core.evaluate@",
        "expression = \"request.metadata.what\"",
        "hash      ",
    ] {
        assert!(told.contains(part), "{part} is missing: {told}");
    }

    // Whoever wants another run approved edits what it was made of: nothing of that is in the plan.
    let flow = FLOWS[0].1.replace("request.metadata.what", "666");
    place.file("echo.json", &flow);
    assert_eq!(server.neena(&["flow", "apply", "echo.json"]).code, 0);
    let run = server.json(&["runs", &edited]);
    let request = run["flow_request"].as_str().unwrap();
    let body = serde_json::json!({"id": request, "request_instructions": "say nothing at all",
        "request_metadata": [{"what": "evil"}]});
    server.call("PUT", "flow_requests/", Some(body));
    assert_eq!(plan_of(&server.neena(&["approve", &edited])), told);

    let run = server.json(&["runs", &deleted]);
    for (path, id) in [
        ("flows", &run["flow"]),
        ("flow_requests", &run["flow_request"]),
    ] {
        let path = format!("{path}/?id={}", id.as_str().unwrap());
        server.call("DELETE", &path, None);
    }
    let answer = server.json(&["approve", &deleted]);
    assert_eq!(answer["id"], deleted.as_str());
    assert_eq!(answer["plan"]["plan_hash"], answer["plan_hash"]);
    assert_eq!(answer["plan"]["flow_version"], 1);
    let arguments = &answer["plan"]["operations"][0]["arguments"];
    assert_eq!(arguments["expression"], "request.metadata.what");
    assert_eq!(answer["plan"]["request"]["metadata"]["what"], "hello there");
    // The plan is what runs: all three say what was asked.
    for run in [&plain, &edited, &deleted] {
        let shown = server.neena(&["runs", run]);
        assert!(shown.out.contains("say something"), "{shown:?}");
        assert!(shown.out.contains("flow      Echo"), "{shown:?}");
    }
}

#[test]
fn a_run_that_fails_ends_the_watch_with_1_and_can_be_retried() {
    let place = Place::new();
    let server = with_flows(&place);
    let run = asked(&server, "Fail");
    let said = server.neena(&["approve", &run, "--watch"]);
    assert_eq!(said.code, 1, "{said:?}");
    assert!(said.out.contains("as asked"), "{said:?}");
    assert!(
        server
            .neena(&["runs", &run])
            .out
            .contains("core.fail  failed")
    );
    // The second attempt, of the second round, succeeds.
    assert_eq!(server.neena(&["retry", &run, "--watch"]).code, 0);
    let said = server.neena(&["retry", &run]);
    assert_eq!((said.code, said.out.as_str()), (2, ""), "{said:?}");
}

#[test]
fn what_was_decided_is_not_decided_again() {
    let place = Place::new();
    let server = with_flows(&place);
    let rejected = asked(&server, "Echo");
    assert_eq!(server.neena(&["reject", &rejected]).code, 0);
    assert_eq!(
        status(&server, &rejected),
        ("cancelled".into(), "rejected".into())
    );
    let said = server.neena(&["approve", &rejected]);
    assert_eq!(said.code, 2, "{said:?}");
    assert!(!said.err.contains("Approved"), "{said:?}");
    let cancelled = asked(&server, "Wait");
    assert_eq!(server.neena(&["approve", &cancelled]).code, 0);
    assert_eq!(server.neena(&["cancel", &cancelled, "--watch"]).code, 1);
    assert_eq!(
        status(&server, &cancelled),
        ("cancelled".into(), "approved".into())
    );
}

#[test]
fn a_run_or_flow_that_is_not_there_is_told_in_one_line() {
    let place = Place::new();
    let server = with_flows(&place);
    let nobody = "01a20cd3-0043-7028-a9c1-4880f41b2df1";
    for (args, line) in [
        (&["approve", nobody][..], "error: Flow run not found\n"),
        (&["runs", nobody], "error: Flow run not found\n"),
        (
            &["run", nobody, "-i", "do what it does"],
            "error: Flow not found\n",
        ),
        (
            &["run", "Nothing", "-i", "do what it does"],
            "error: no flow is named `Nothing`\n",
        ),
    ] {
        let said = server.neena(args);
        assert_eq!((said.code, said.err.as_str()), (2, line), "{args:?}");
    }
}
