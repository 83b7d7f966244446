//! `neena approvals`, `approve` with gates, `plan` and `decisions`

use serde_json::{Value, json};

use crate::harness::{Place, Server};

const SHIP: &str = r#"{"name": "Ship", "dependencies": [{"source_task_operation": 0, "target_task_operation": 1}],
    "task_operations": [
        {"index": 0, "name": "Weigh", "task": "core.evaluate", "arguments": {"expression": "40 + 2"}},
        {"index": 1, "name": "Send off", "task": "core.evaluate",
         "arguments": {"expression": "gates.send_off.boxes * 2"},
         "approval": {"input": {"type": "object", "required": ["boxes"],
            "properties": {"boxes": {"type": "integer", "maximum": 9}}}}}]}"#;

fn with_flow<'a>(place: &'a Place) -> Server<'a> {
    let server = place.serve();
    place.file("ship.json", SHIP);
    let said = server.neena(&["flow", "apply", "ship.json"]);
    assert_eq!(said.code, 0, "{said:?}");
    server
}

fn asked(server: &Server<'_>) -> String {
    let said = server.neena(&["run", "Ship", "-i", "send what there is"]);
    assert_eq!(said.code, 0, "{said:?}");
    said.out.trim().to_owned()
}

/// Waits until a gate asks.
fn at_gate(server: &Server<'_>, run: &str) {
    for _ in 0..200 {
        let waiting = server.json(&["approvals"]);
        let is = |one: &Value| one["flow_run"] == run && one["gate"] == "send_off";
        if waiting.as_array().unwrap().iter().any(is) {
            return;
        }
        std::thread::sleep(std::time::Duration::from_millis(50));
    }
    panic!("the gate never asked: {:?}", server.json(&["runs", run]));
}

#[test]
fn a_run_is_approved_and_then_its_gate_by_name_with_an_answer() {
    let place = Place::new();
    let server = with_flow(&place);
    let run = asked(&server);
    let waiting = server.json(&["approvals"]);
    assert_eq!(waiting[0]["flow_run"], *run, "{waiting}");
    assert_eq!(waiting[0]["gate"], Value::Null);
    let said = server.neena(&["approve", &run, "--comment", "as agreed"]);
    assert_eq!(said.code, 0, "{said:?}");
    for part in [
        "gate: it starts when it is approved",
        "No run of this flow was approved before.",
        "Approved this plan",
    ] {
        assert!(said.err.contains(part), "{part} is missing: {}", said.err);
    }
    at_gate(&server, &run);

    let said = server.neena(&["approve", &run, "--gate", "nowhere", "--answer", "{}"]);
    assert_eq!(said.code, 2);
    assert!(
        said.err
            .contains("there is no gate `nowhere`; there are `Send off`"),
        "{said:?}"
    );
    let said = server.neena(&[
        "approve",
        &run,
        "--gate",
        "Send off",
        "--answer",
        r#"{"boxes": 10}"#,
    ]);
    assert_eq!(said.code, 2);
    assert!(said.err.contains("boxes"), "{said:?}");
    place.file("answer.json", r#"{"boxes": 4}"#);
    let said = server.neena(&[
        "approve",
        &run,
        "--gate",
        "send_off",
        "--answer",
        "@answer.json",
        "--watch",
    ]);
    assert_eq!(
        (said.code, said.out.trim()),
        (0, "{\"Send off\":8}"),
        "{said:?}"
    );
    assert!(said.err.contains("before    Weigh = 42"), "{said:?}");

    let second = asked(&server);
    let said = server.neena(&["approve", &second]);
    assert!(
        said.err
            .contains("Nothing has changed since the last approved run"),
        "{said:?}"
    );
}

#[test]
fn a_gate_that_is_rejected_fails_its_task_and_says_why() {
    let place = Place::new();
    let server = with_flow(&place);
    let run = asked(&server);
    assert_eq!(server.neena(&["approve", &run]).code, 0);
    at_gate(&server, &run);
    let args = [
        "reject",
        &run,
        "--gate",
        "Send off",
        "--comment",
        "no boxes",
        "--watch",
    ];
    let said = server.neena(&args);
    assert_eq!(said.code, 1, "{said:?}");
    assert!(
        said.out.contains("gate_rejected") && said.out.contains("no boxes"),
        "{said:?}"
    );
}

#[test]
fn an_exported_plan_is_verified_offline_and_a_changed_one_is_not() {
    let place = Place::new();
    let server = with_flow(&place);
    let run = asked(&server);
    let exported = server.neena(&["plan", "export", &run]);
    assert_eq!(exported.code, 0, "{exported:?}");
    let hash = server.json(&["runs", &run])["plan_hash"].clone();
    place.file("plan.json", &exported.out);
    let said = server.neena(&["plan", "verify", "plan.json"]);
    assert_eq!(said.code, 0, "{said:?}");
    assert!(said.out.starts_with(hash.as_str().unwrap()), "{said:?}");

    let plan: Value = serde_json::from_str(&exported.out).unwrap();
    for part in ["head", "graph"] {
        let mut changed = plan.clone();
        let text = changed[part]
            .as_str()
            .unwrap()
            .replace("Ship", "Sink")
            .replace("40 + 2", "40 + 3");
        assert_ne!(plan[part], text, "{part}");
        changed[part] = json!(text);
        place.file("changed.json", &changed.to_string());
        let said = server.neena(&["plan", "verify", "changed.json"]);
        assert_eq!(said.code, 2, "{part}: {said:?}");
    }
    let said = server.neena(&["plan", "verify", "ship.json"]);
    assert!(said.err.contains("is no exported plan"), "{said:?}");
}

#[test]
fn an_exported_log_is_verified_offline_and_a_changed_one_is_not() {
    let place = Place::new();
    let server = with_flow(&place);
    for comment in ["first", "second", "third"] {
        let run = asked(&server);
        assert_eq!(
            server.neena(&["reject", &run, "--comment", comment]).code,
            0
        );
    }
    let list = server.neena(&["decisions", "list"]);
    assert!(
        list.out.contains("third") && list.out.contains("local@neena.local"),
        "{list:?}"
    );
    let entries = server.json(&["decisions", "list"]);
    let ways = entries.as_array().unwrap().iter();
    assert_eq!(
        ways.map(|entry| &entry["way"]).collect::<Vec<_>>(),
        ["cli"; 3]
    );
    let log = (0..100)
        .find_map(|_| {
            let said = server.neena(&["decisions", "export"]);
            assert_eq!(said.code, 0, "{said:?}");
            let sealed = said.out.contains("\"unsealed\":0");
            std::thread::sleep(std::time::Duration::from_millis(if sealed {
                0
            } else {
                100
            }));
            sealed.then_some(said.out)
        })
        .expect("the log is sealed");
    let verify = |log: &str| {
        place.file("log.jsonl", log);
        server.neena(&["decisions", "verify", "log.jsonl"])
    };
    let said = verify(&log);
    assert_eq!(said.code, 0, "{said:?}");
    assert!(said.out.starts_with("3 entries in one chain"), "{said:?}");

    let lines: Vec<&str> = log.lines().collect();
    let edited = log.replace("second", "2nd");
    let removed = [lines[0], lines[2], lines[3]].join("\n");
    let moved = [lines[1], lines[0], lines[2], lines[3]].join("\n");
    let cut = [lines[0], lines[1], lines[3]].join("\n");
    for (what, log, told) in [
        ("edited", edited, "it was edited"),
        ("removed", removed, "it was removed"),
        ("moved", moved, "reordered"),
        ("cut", cut, "it was removed"),
    ] {
        let said = verify(&log);
        assert_eq!(said.code, 2, "{what}: {said:?}");
        assert!(said.err.contains(told), "{what}: {said:?}");
    }
    let open = verify(&lines[..3].join("\n"));
    assert_eq!(open.code, 0);
    assert!(
        open.err.contains("entries may be missing after these"),
        "{open:?}"
    );
}
