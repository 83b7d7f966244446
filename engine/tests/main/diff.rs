//! What differs between plans, as approvers are told.

use std::sync::Arc;

use neena_engine::Hash;
use neena_engine::approval::Policy;
use neena_engine::plan::{Change, Graph, GraphBody, Head, Kind, Part, Plan, diff};
use rstest::rstest;
use serde_json::json;

use crate::harness::{given, operation};
use crate::vectors::{fixed_graph, fixed_head};

fn plan(graph: &GraphBody, head: Head) -> Plan {
    Plan::make(Arc::new(Graph::new(graph).unwrap()), head).unwrap()
}

fn fixed() -> Plan {
    plan(&fixed_graph(), fixed_head())
}

/// Each change in a line.
fn lines(changes: &[Change]) -> Vec<String> {
    let line = |change: &Change| {
        let word = |word: &serde_json::Value| word.as_str().unwrap().to_owned();
        format!(
            "{} {} {} {}",
            word(&json!(change.what)),
            word(&json!(change.change)),
            change.operation.as_deref().unwrap_or("-"),
            change.field.as_deref().unwrap_or("-")
        )
    };
    changes.iter().map(line).collect()
}

#[test]
fn a_plan_does_not_differ_from_itself() {
    assert_eq!(diff(Some(&fixed()), &fixed()), []);
}

#[test]
fn without_one_before_everything_is_added() {
    let changes = diff(None, &fixed());
    assert!(
        changes
            .iter()
            .all(|change| change.change == Kind::Added && change.before.is_none())
    );
    let of = |part| changes.iter().filter(|change| change.what == part).count();
    assert_eq!((of(Part::Operation), of(Part::Dependency)), (2, 1));
    assert!(of(Part::Policy) > 5 && of(Part::Request) > 3);
}

/// An edit of a graph.
type Edit = fn(&mut GraphBody);

#[rstest]
#[case::code(|graph: &mut GraphBody| graph.operations[0].code_digest = Hash::of(b"other").to_string(),
    "code changed Fetch commits code_digest")]
#[case::argument(|graph: &mut GraphBody| graph.operations[1].arguments = given(json!({"text": "none"})),
    "argument changed Report text; argument removed Report weights")]
#[case::bound_otherwise(|graph: &mut GraphBody| graph.operations[0].arguments = given(json!({})),
    "argument changed Fetch commits -")]
#[case::setting(|graph: &mut GraphBody| graph.operations[1].when = None, "setting removed Report when")]
#[case::gate(|graph: &mut GraphBody| graph.operations[1].approval = None, "policy removed Report approval")]
#[case::form(|graph: &mut GraphBody| graph.operations[1].approval.as_mut().unwrap().input = None,
    "policy removed Report input")]
#[case::gate_policy(|graph: &mut GraphBody| graph.operations[1].approval.as_mut().unwrap().policy.reason_required ^= true,
    "policy changed Report reason_required")]
#[case::edge(|graph: &mut GraphBody| graph.edges.clear(), "dependency removed Report -")]
#[case::operation(|graph: &mut GraphBody| graph.operations.push(operation(9, "Ship")), "operation added Ship -")]
#[case::limit(|graph: &mut GraphBody| graph.timeout_ms = Some(1), "setting changed - timeout_ms")]
fn an_edit_of_the_flow_is_named(#[case] edit: Edit, #[case] expected: &str) {
    let mut graph = fixed_graph();
    edit(&mut graph);
    let changed = plan(&graph, fixed_head());
    let found = lines(&diff(Some(&fixed()), &changed)).join("; ");
    assert_eq!(found, expected);
    assert_ne!(changed.hash, fixed().hash);
}

#[test]
fn another_request_or_policy_is_named() {
    let mut head = fixed_head();
    head.request.instructions.push('!');
    let mut metadata = (*head.request.metadata).clone();
    metadata.insert("since".to_owned(), json!(null));
    head.request.metadata = metadata.into();
    head.policy = Policy {
        standing: !head.policy.standing,
        ..head.policy
    };
    head.flow_version += 1;
    let found = lines(&diff(Some(&fixed()), &plan(&fixed_graph(), head)));
    let expected = [
        "setting changed - flow_version",
        "request changed - instructions",
        "request changed - metadata.since",
        "policy changed - standing",
    ];
    assert_eq!(found, expected);
}
