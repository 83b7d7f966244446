//! Gates in flows, plans and expressions: where their answers may be looked at, and what is found there.

use std::sync::Arc;

use neena_engine::Json;
use neena_engine::approval::Policy;
use neena_engine::plan::{Arguments, Gate, Graph, Plan};
use neena_engine::{Loc, loc};
use rstest::rstest;
use serde_json::{Value, json};

use crate::flow::{accepted, calling, flow, only_fault, operation, three};
use crate::harness::{self, Given, declared, given, head, refusal_of, source, value_of};

fn gate() -> Option<Gate> {
    Some(Gate {
        policy: Policy::quorum(2),
        input: Some(json!({"type": "object"})),
    })
}

/// `Read rows` was let go on with a note, `Use rows` with a list.
fn answered() -> Given {
    let mut scope = Given::new(json!({}), &[(0, json!([1]))]);
    scope.gates = [(0, json!({"note": "ok", "n": 2})), (1, json!([1, 2]))]
        .map(|(at, answer)| (at, Json::of(&answer)))
        .into();
    scope
}

#[rstest]
#[case::a_field("{{ gates.read_rows.note }}", json!("ok"))]
#[case::the_whole("{{ gates.read_rows }}", json!({"note": "ok", "n": 2}))]
#[case::by_subscript("{{ gates['read_rows']['n'] + 1 }}", json!(3))]
#[case::ones_own("{{ gates.use_rows | length }}", json!(2))]
#[case::beside_results("{{ tasks.read_rows.result + gates.use_rows }}", json!([1, 1, 2]))]
#[case::in_a_text("by {{ gates.read_rows.note }}, {{ gates.read_rows.note }}", json!("by ok, ok"))]
fn an_expression_finds_what_a_gate_was_answered(#[case] text: &str, #[case] value: Value) {
    assert_eq!(value_of(text, &answered()).unwrap(), value);
}

#[test]
fn a_gate_without_a_form_was_answered_nothing() {
    let mut scope = answered();
    scope.gates.insert(0, Json::null());
    assert_eq!(
        value_of("{{ gates.read_rows }}", &scope).unwrap(),
        json!(null)
    );
    scope.gates.clear();
    let silent = "{{ gates.read_rows | default('nobody') }}";
    assert_eq!(value_of(silent, &scope).unwrap(), json!("nobody"));
}

#[rstest]
#[case("{{ gates }}", "`gates` is used as `gates.<key>`")]
#[case("{{ [gates] }}", "`gates` is used as")]
#[case("{{ gates[run.id] }}", "`gates` is used as")]
#[case("{{ gates | tojson }}", "`gates` is used as")]
#[case("{{ gates.read_rows.nothing }}", "undefined value")]
#[case("{{ gates.read_rows.__class__ }}", "undefined value")]
#[case("{{ gates.somebody }}", "undefined value")]
fn nothing_else_is_found_behind_gates(#[case] text: &str, #[case] reason: &str) {
    let refusal = refusal_of(text, &answered());
    assert!(refusal.contains(reason), "{refusal}");
}

#[test]
fn an_answer_counts_towards_what_an_expression_may_cost() {
    let mut scope = answered();
    let long = Json::of(&"x".repeat(500_000));
    scope.gates.insert(0, long);
    let refusal = refusal_of(
        "{{ [gates.read_rows, gates.read_rows, gates.read_rows] }}",
        &scope,
    );
    assert!(refusal.contains("more than"), "{refusal}");
}

/// `fetch` (1) → `join` (2) → `load` (3), with gates before the last two.
fn gated(arguments: Value) -> neena_engine::flow::FlowSpec {
    let mut spec = three(arguments, &[(1, 2), (2, 3)]);
    spec.task_operations[1].approval = gate();
    spec.task_operations[2].approval = gate();
    spec
}

#[test]
fn a_gate_is_part_of_the_graph() {
    let made = accepted(gated(json!({"x": "{{ gates.join.note }}"})));
    let operations = &made.body().operations;
    assert_eq!(operations[0].approval, None);
    assert_eq!(operations[1].approval, gate());
    let hash = |change: fn(&mut Gate)| {
        let mut body = made.body().clone();
        change(body.operations[1].approval.as_mut().unwrap());
        Graph::new(&body).unwrap().hash()
    };
    let hashes = [
        hash(|_| {}),
        hash(|gate| gate.policy = Policy::quorum(3)),
        hash(|gate| gate.policy.reason_required = true),
        hash(|gate| gate.input = None),
    ];
    let distinct: std::collections::HashSet<_> = hashes.iter().collect();
    assert_eq!(distinct.len(), hashes.len());
}

fn x() -> Vec<Loc> {
    loc!["task_operations", 2, "arguments", "x"]
}

#[rstest]
#[case::of_nobody(
    "{{ gates.nobody }}",
    "unknown_task",
    "`gates.nobody`: no task of this flow"
)]
#[case::that_is_none(
    "{{ gates.fetch.note }}",
    "unknown_gate",
    "`gates.fetch`: `fetch` has no `approval`"
)]
fn a_gate_that_is_not_there_is_a_fault(
    #[case] text: &str,
    #[case] kind: &str,
    #[case] words: &str,
) {
    let fault = only_fault(gated(json!({ "x": text })));
    assert_eq!((fault.loc, fault.kind), (x(), kind));
    assert!(fault.msg.starts_with(words), "{}", fault.msg);
}

#[test]
fn arguments_may_look_at_their_own_gate_and_a_condition_may_not() {
    accepted(gated(
        json!({"x": "{{ gates.load.note }} {{ gates.join.note }}"}),
    ));
    let mut spec = gated(json!({}));
    spec.task_operations[2].when = Some("gates.join.ok".to_owned());
    accepted(spec.clone());
    spec.task_operations[2].when = Some("gates.load.ok".to_owned());
    let fault = only_fault(spec);
    assert_eq!(fault.loc, loc!["task_operations", 2, "when"]);
    assert_eq!(fault.kind, "not_upstream");
}

#[test]
fn a_gate_aside_or_of_two_tasks_is_a_fault() {
    let mut aside = gated(json!({"x": "{{ gates.join }}"}));
    aside.dependencies.clear();
    let fault = only_fault(aside);
    assert_eq!((fault.loc, fault.kind), (x(), "not_upstream"));
    assert!(
        fault.msg.starts_with("`gates.join`: `load` does not"),
        "{}",
        fault.msg
    );
    let mut twice = vec![
        operation(1, "Read rows"),
        operation(2, "read-rows"),
        calling(
            3,
            "Use",
            three(json!({}), &[]).task_operations[0].task_definition,
            json!({"x": "{{ gates.read_rows }}"}),
        ),
    ];
    twice
        .iter_mut()
        .for_each(|operation| operation.approval = gate());
    let fault = only_fault(flow(twice, &[(1, 3), (2, 3)]));
    assert_eq!(fault.kind, "ambiguous_task");
}

/// Metadata is written without knowing the flow's gates.
#[test]
fn an_expression_of_the_metadata_looks_at_no_gate() {
    let mut first = harness::operation(1, "Giver");
    first.approval = gate();
    let mut taker = harness::operation(2, "Taker");
    taker.parameters = vec![declared("x", "expression")];
    taker.arguments = Arguments::ByName(vec![source("x", None, false, false)]);
    let graph = Arc::new(harness::graph(vec![first, taker], &[(1, 2)]));
    let faults = Plan::make(graph, head(json!({"x": "gates.giver"}))).unwrap_err();
    assert_eq!(faults[0].kind, "bad_expression");
    assert!(faults[0].msg.contains("`gates.giver`"), "{}", faults[0].msg);
}

/// A stored graph is taken as it is: what its expressions find nothing behind is undefined, not a panic.
#[test]
fn a_stored_graph_that_looks_at_a_gate_that_is_none_is_still_read() {
    let mut lone = harness::operation(1, "Lone");
    lone.arguments = given(json!({"x": "{{ gates.lone | default(1) }}"}));
    let graph = harness::graph(vec![lone], &[]);
    let bound = graph.bind(0, &Given::new(json!({}), &[])).unwrap();
    assert_eq!(bound.arguments.text(), r#"{"x":1}"#);
}
