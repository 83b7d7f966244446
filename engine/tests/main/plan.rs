//! Plans: what is hashed, what is read back, and what is refused.

use std::collections::BTreeMap;
use std::sync::Arc;

use neena_engine::approval::{Mode, OnExpiry, Policy};
use neena_engine::plan::{
    Arguments, Graph, GraphBody, Head, Operation, PLAN_V, Plan, PlanError, canonical,
};
use neena_engine::{Hash, loc};
use proptest::prelude::*;
use rstest::rstest;
use serde_json::{Value, json};
use uuid::Uuid;

use crate::harness::{
    Given, body, declared, documents, given, graph, head, operation, parsed, source,
};
use crate::vectors::{fixed_graph, fixed_head};

#[test]
fn a_graph_is_written_as_the_whole_would_be() {
    let body = fixed_graph();
    let graph = Graph::new(&body).unwrap();
    assert_eq!(
        graph.canonical_text(),
        canonical(&serde_json::to_value(&body).unwrap()).unwrap()
    );
}

#[test]
fn a_graph_knows_its_neighbours() {
    let operations = [5, 3, 9, 1]
        .map(|index| operation(index, &format!("t{index}")))
        .into();
    let graph = graph(operations, &[(5, 1), (3, 1), (5, 9), (9, 1)]);
    assert_eq!(graph.len(), 4);
    assert_eq!((graph.position(9), graph.position(2)), (Some(2), None));
    let inputs: Vec<&[u32]> = (0..4).map(|position| graph.upstream(position)).collect();
    assert_eq!(inputs, [&[][..], &[], &[0], &[0, 1, 2]]);
    let outputs: Vec<&[u32]> = (0..4).map(|position| graph.downstream(position)).collect();
    assert_eq!(outputs, [&[2, 3][..], &[3], &[3], &[]]);
}

#[rstest]
#[case::twice(&[1, 1], &[], "index 1 is used twice")]
#[case::backwards(&[1, 2], &[(2, 1)], "out of order")]
#[case::itself(&[1, 2], &[(1, 1)], "out of order")]
#[case::nowhere(&[1, 2], &[(1, 3)], "out of order")]
fn a_body_that_no_check_would_give_is_refused(
    #[case] indexes: &[u32],
    #[case] edges: &[(u32, u32)],
    #[case] reason: &str,
) {
    let operations = indexes
        .iter()
        .map(|index| operation(*index, &format!("t{index}")))
        .collect();
    let error = Graph::new(&body(operations, edges)).unwrap_err();
    assert!(error.to_string().contains(reason), "{error}");
}

#[test]
fn stored_bytes_that_are_not_what_the_hash_names_are_refused() {
    let plan = Plan::make(Arc::new(Graph::new(&fixed_graph()).unwrap()), fixed_head()).unwrap();
    let text = plan.graph.canonical_text().replace("Report", "Delete");
    let error = Graph::parse(&text, plan.graph.hash()).unwrap_err();
    assert!(
        matches!(error, PlanError::HashMismatch { what: "graph", .. }),
        "{error}"
    );
    let text = plan.head.text().unwrap().replace("user@", "root@");
    let error = Head::parse(&text, plan.hash).unwrap_err();
    assert!(
        matches!(error, PlanError::HashMismatch { what: "head", .. }),
        "{error}"
    );
    // A head that is what it should be, over another graph.
    let other = Arc::new(graph(vec![operation(1, "Other")], &[]));
    let error = Plan::parse(&plan.head.text().unwrap(), plan.hash, other).unwrap_err();
    assert!(
        matches!(error, PlanError::HashMismatch { what: "graph", .. }),
        "{error}"
    );
}

#[test]
fn a_newer_format_is_told_from_a_broken_one() {
    let body = GraphBody {
        v: PLAN_V + 1,
        ..fixed_graph()
    };
    assert!(matches!(Graph::new(&body), Err(PlanError::Newer(v)) if v == PLAN_V + 1));
    let head = Head {
        v: PLAN_V + 1,
        ..fixed_head()
    };
    let text = head.text().unwrap();
    assert!(matches!(
        Head::parse(&text, Hash::of(text.as_bytes())),
        Err(PlanError::Newer(_))
    ));
    let broken = "{}";
    assert!(matches!(
        Head::parse(broken, Hash::of(broken.as_bytes())),
        Err(PlanError::Unreadable { what: "head", .. })
    ));
}

#[test]
fn every_input_of_a_run_changes_its_hash() {
    let graph = Arc::new(Graph::new(&fixed_graph()).unwrap());
    let hash = |change: fn(&mut Head)| {
        let mut head = fixed_head();
        change(&mut head);
        Plan::make(Arc::clone(&graph), head).unwrap().hash
    };
    let hashes = [
        hash(|_| {}),
        hash(|head| head.organization = Uuid::nil()),
        hash(|head| head.flow = Uuid::nil()),
        hash(|head| head.flow_version = 2),
        hash(|head| head.request.instructions.push('!')),
        hash(|head| head.request.name = None),
        hash(|head| {
            head.request.metadata =
                serde_json::Map::from_iter([("since".to_owned(), json!(1))]).into()
        }),
        hash(|head| head.triggered_by.push('x')),
        hash(|head| head.requester = None),
        hash(|head| head.author = None),
        hash(|head| head.author.as_mut().unwrap().user = None),
        hash(|head| head.policy = Policy::quorum(2)),
        hash(|head| head.policy.stages[0].count += 1),
        hash(|head| head.policy.stages[0].name.push('!')),
        hash(|head| head.policy.stages[0].approvers.groups.clear()),
        hash(|head| head.policy.stages.truncate(1)),
        hash(|head| head.policy.mode = Mode::None),
        hash(|head| head.policy.distinct_from_requester = false),
        hash(|head| head.policy.distinct_from_author = false),
        hash(|head| head.policy.distinct_approvers = false),
        hash(|head| head.policy.reason_required = false),
        hash(|head| head.policy.expires_in_ms = None),
        hash(|head| head.policy.on_expiry = OnExpiry::Approve),
        hash(|head| head.policy.escalate_to.groups.clear()),
        hash(|head| head.policy.remind_before_ms.clear()),
        hash(|head| head.policy.standing = false),
    ];
    let distinct: std::collections::HashSet<_> = hashes.iter().collect();
    assert_eq!(distinct.len(), hashes.len());
    // What the caller says of graph and format does not count: the plan has its own.
    assert_eq!(hash(|head| head.graph = Hash::of(b"other")), hashes[0]);
    assert_eq!(hash(|head| head.v = 0), hashes[0]);
}

fn taking(parameter: &str, data_type: &str, upstream: Option<u32>, optional: bool) -> Operation {
    let mut taker = operation(2, "Taker");
    taker.parameters = vec![declared(parameter, data_type)];
    taker.arguments = Arguments::ByName(vec![source(parameter, upstream, false, optional)]);
    taker
}

/// The faults of a plan in which `Giver` (1) → `Taker` (2) and, aside, `Aside` (3).
fn faults(taker: Operation, metadata: Value) -> Vec<(&'static str, String)> {
    let operations = vec![operation(1, "Giver"), taker, operation(3, "Aside")];
    let graph = Arc::new(graph(operations, &[(1, 2)]));
    match Plan::make(graph, head(metadata)) {
        Ok(_) => vec![],
        Err(faults) => faults
            .into_iter()
            .map(|fault| {
                assert_eq!(fault.loc, loc!["flow_request"]);
                (fault.kind, fault.msg)
            })
            .collect(),
    }
}

#[rstest]
#[case(taking("x", "string", None, true), json!({}))]
#[case(taking("x", "string", Some(1), false), json!({}))]
#[case(taking("x", "string", None, false), json!({"x": null}))]
#[case(taking("x", "expression", None, false), json!({"x": "tasks.giver.result + 1"}))]
#[case(taking("x", "expression", None, false), json!({"x": "{{ tasks.giver.result + 1 }}"}))]
fn a_parameter_with_a_source_is_fine(#[case] taker: Operation, #[case] metadata: Value) {
    assert_eq!(faults(taker, metadata), []);
}

#[rstest]
#[case(taking("x", "string", None, false), json!({}), "missing_argument", "`Taker` (2) needs `x`")]
#[case(taking("x", "expression", None, false), json!({"x": 1}), "bad_expression", "given as a string")]
#[case(taking("x", "expression", None, false), json!({"x": "1 +"}), "bad_expression", "`Taker` (2) evaluates `x`")]
#[case(taking("x", "expression", None, false), json!({"x": "tasks.nobody.result"}), "bad_expression", "no task of this flow")]
#[case(taking("x", "expression", None, false), json!({"x": "tasks.aside.result"}), "bad_expression", "does not stand upstream")]
#[case(taking("x", "expression", None, false), json!({"x": "tasks.taker.result"}), "bad_expression", "does not stand upstream")]
fn a_parameter_that_stays_open_is_a_fault(
    #[case] taker: Operation,
    #[case] metadata: Value,
    #[case] kind: &str,
    #[case] words: &str,
) {
    let faults = faults(taker, metadata);
    assert_eq!(faults.len(), 1, "{faults:?}");
    assert_eq!(faults[0].0, kind);
    assert!(faults[0].1.contains(words), "{}", faults[0].1);
}

#[test]
fn metadata_nested_too_deeply_is_a_fault() {
    let deep = (0..70).fold(json!(1), |inner, _| json!([inner]));
    let faults = faults(operation(2, "Taker"), json!({ "x": deep }));
    assert_eq!(faults[0].0, "too_deep");
}

#[test]
fn what_runs_is_what_the_canonical_text_says() {
    let mut echo = operation(1, "Echo");
    echo.arguments = given(json!({"a": 1.0, "b": -0.0, "c": 1e300, "d": 1234567890123456789.0}));
    let graph = graph(vec![echo], &[]);
    let bound = graph.bind(0, &Given::new(json!({}), &[])).unwrap();
    assert_eq!(
        bound.arguments.text(),
        r#"{"a":1,"b":0,"c":1e+300,"d":1234567890123456800}"#
    );
}

/// Bodies of graphs with documents as arguments: a chain, with some by name.
fn bodies() -> impl Strategy<Value = GraphBody> {
    let arguments = prop::option::of(prop::collection::btree_map(".{0,8}", documents(), 0..3));
    prop::collection::vec((arguments, any::<u32>(), any::<u64>()), 1..5).prop_map(|all| {
        let mut operations = Vec::new();
        for (at, (arguments, attempts, millis)) in (0u32..).zip(all) {
            let mut operation = operation(at, &format!("Task {at}"));
            operation.arguments = match arguments {
                Some(arguments) => Arguments::Given(without_expressions(arguments)),
                None => Arguments::ByName(vec![source("x", at.checked_sub(1), true, true)]),
            };
            operation.retry.max_attempts = attempts;
            operation.timeout_ms = (millis % 2 == 0).then_some(millis);
            operations.push(operation);
        }
        let edges: Vec<(u32, u32)> = (1..operations.len() as u32)
            .map(|at| (at - 1, at))
            .collect();
        body(operations, &edges)
    })
}

/// Random text rarely holds a whole expression; what is not one would be a fault of the flow.
fn without_expressions(arguments: BTreeMap<String, Value>) -> BTreeMap<String, Value> {
    arguments
        .into_iter()
        .filter(|(_, value)| !value.to_string().contains("{{"))
        .collect()
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 500, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn making_a_plan_and_reading_it_back_give_equal_plans(
        body in bodies(),
        metadata in prop::collection::btree_map(".{0,8}", documents(), 0..3),
    ) {
        let metadata: Value = metadata.into_iter().collect();
        let graph = Arc::new(Graph::new(&body).unwrap());
        let made = Plan::make(Arc::clone(&graph), head(metadata.clone())).unwrap();
        let read_graph = Arc::new(Graph::parse(graph.canonical_text(), made.head.graph).unwrap());
        prop_assert_eq!(read_graph.body(), graph.body());
        let read = Plan::parse(&made.head.text().unwrap(), made.hash, read_graph).unwrap();
        prop_assert_eq!(&read, &made);
        // Made from what was read, it is the same again.
        let again = Plan::make(Arc::new(Graph::new(read.graph.body()).unwrap()), read.head.clone()).unwrap();
        prop_assert_eq!(again.hash, made.hash);
        for position in 0..graph.len() {
            let scope = |plan: &Plan| Given { head: plan.head.clone(), results: Default::default(), gates: Default::default() };
            let bound = |plan: &Plan| plan.graph.bind(position, &scope(plan)).map(|bound| parsed(&bound.arguments));
            prop_assert_eq!(bound(&made), bound(&read));
        }
    }
}
