//! Runs whose code moves on while they wait.

use serde_json::{Value, json};

use crate::harness::{Place, Said, Server};

const FLOW: &str = r#"{"name": "Tell", "dependencies": [{"source_task_operation": 0, "target_task_operation": 1}],
    "task_operations": [
        {"index": 0, "name": "First", "task": "teller.begin_telling", "arguments": {"about": "rain"}},
        {"index": 1, "name": "Then", "task": "teller.tell_something", "arguments": {"about": "snow"},
         "approval": {}}]}"#;

/// An integration that tells things its own way.
fn code(place: &Place, how: &str) {
    place.file(
        "teller.py",
        &format!(
            r#"
from neena import integration, task

@integration(name="Teller", short_name="teller")
class Teller:
    @task(repeatable=False)
    def tell_something(self, about: str) -> str:
        """Tells something.

        Args:
            about: What of.
        """
        return "{how} " + about

    @task(repeatable=False)
    def begin_telling(self, about: str) -> str:
        """Begins to tell something.

        Args:
            about: What of.
        """
        return "{how} " + about
"#
        ),
    );
}

fn serve(place: &Place) -> Server<'_> {
    place.serve_with(&["--integrations", "teller.py"])
}

fn run(server: &Server<'_>) -> String {
    let said = ok(server.neena(&["run", "Tell", "-i", "tell what there is"]));
    said.out.trim().to_owned()
}

fn ok(said: Said) -> Said {
    assert_eq!(said.code, 0, "{said:?}");
    said
}

/// Waits until the run is as `is` says.
fn until(server: &Server<'_>, run: &str, is: impl Fn(&Value) -> bool) -> Value {
    for _ in 0..400 {
        let row = server.json(&["runs", run]);
        if is(&row) {
            return row;
        }
        std::thread::sleep(std::time::Duration::from_millis(50));
    }
    panic!("it never was: {}", server.json(&["runs", run]));
}

fn at_gate(server: &Server<'_>, run: &str) {
    let is = |one: &Value| one["flow_run"] == run && one["gate"] == "then";
    for _ in 0..400 {
        if server
            .json(&["approvals"])
            .as_array()
            .unwrap()
            .iter()
            .any(is)
        {
            return;
        }
        std::thread::sleep(std::time::Duration::from_millis(50));
    }
    panic!("the gate never asked: {}", server.json(&["runs", run]));
}

#[test]
fn a_waiting_run_whose_code_moved_on_holds_a_new_plan_to_approve() {
    let place = Place::new();
    code(&place, "old");
    let server = serve(&place);
    place.file("tell.json", FLOW);
    ok(server.neena(&["flow", "apply", "tell.json"]));
    let run = run(&server);
    let old = server.json(&["runs", &run])["plan_hash"].clone();
    drop(server);
    code(&place, "new");
    let server = serve(&place);
    let said = server.neena(&["approve", &run]);
    assert_eq!(said.code, 2, "{said:?}");
    assert!(said.err.contains("it holds a new plan now"), "{said:?}");
    let new = server.json(&["runs", &run])["plan_hash"].clone();
    assert_ne!(new, old);
    ok(server.neena(&["approve", &run]));
    at_gate(&server, &run);
    ok(server.neena(&["approve", &run, "--gate", "then"]));
    let row = until(&server, &run, |row| row["status"] == "completed");
    assert_eq!(row["flow_result"]["body"], "new snow", "{row}");
    let log = server.json(&["decisions", "list"]);
    let log = log.as_array().unwrap();
    let entry = log
        .iter()
        .find(|entry| entry["what"] == "resubmit")
        .unwrap();
    assert_eq!((&entry["plan_hash"], &entry["user"]), (&old, &json!(null)));
    assert!(
        entry["result"]
            .as_str()
            .unwrap()
            .contains(new.as_str().unwrap())
    );
}

/// What has run stays; what is left runs only as it is approved anew.
#[test]
fn a_run_whose_code_nobody_hosts_any_more_waits_with_a_new_plan_for_the_rest() {
    let place = Place::new();
    code(&place, "old");
    let server = serve(&place);
    place.file("tell.json", FLOW);
    ok(server.neena(&["flow", "apply", "tell.json"]));
    let run = run(&server);
    ok(server.neena(&["approve", &run]));
    at_gate(&server, &run);
    let old = server.json(&["runs", &run])["plan_hash"].clone();
    drop(server);
    code(&place, "new");
    let server = serve(&place);
    ok(server.neena(&["approve", &run, "--gate", "then"]));
    let row = until(&server, &run, |row| row["plan_hash"] != old);
    assert_eq!(
        (&row["status"], &row["approval_status"]),
        (&json!("pending"), &json!(null))
    );
    let seen = ok(server.neena(&["approve", &run])).err;
    assert!(
        seen.contains("code of `Then`"),
        "the difference is shown: {seen}"
    );
    assert!(!seen.contains("code of `First`"), "{seen}");
    let row = until(&server, &run, |row| row["status"] == "completed");
    assert_eq!(row["flow_result"]["body"], "new snow", "{row}");
    let plan = ok(server.neena(&["plan", "export", &run])).out;
    let plan: Value = serde_json::from_str(&plan).unwrap();
    let graph: Value = serde_json::from_str(plan["graph"].as_str().unwrap()).unwrap();
    let digests = graph["operations"].as_array().unwrap().iter();
    let digests: Vec<&Value> = digests.map(|one| &one["code_digest"]).collect();
    assert_ne!(digests[0], digests[1], "the first keeps what it ran with");
}
