//! The check of posted flows: what is accepted, and every fault with its place.

use std::collections::{HashMap, HashSet};
use std::sync::Arc;

use neena_engine::flow::{
    Catalogue, Definition, DependencySpec, Flow, FlowSpec, Kind, MAX_DEPENDENCIES, MAX_OPERATIONS,
    OperationSpec, Parameter, Retry, TriggerRule,
};
use neena_engine::ids::TaskDefinitionId;
use neena_engine::plan::{Arguments, NamedSource};
use neena_engine::{Fault, Loc, loc};
use proptest::prelude::*;
use rstest::rstest;
use serde_json::{Value, json};
use uuid::Uuid;

use crate::harness::source;

const ECHO: TaskDefinitionId = TaskDefinitionId(Uuid::from_u128(1));
const COPY: TaskDefinitionId = TaskDefinitionId(Uuid::from_u128(2));
const EVALUATE: TaskDefinitionId = TaskDefinitionId(Uuid::from_u128(3));
const COUNT: TaskDefinitionId = TaskDefinitionId(Uuid::from_u128(4));
const UNKNOWN: TaskDefinitionId = TaskDefinitionId(Uuid::from_u128(99));

fn parameter(name: &str, data_type: &str, position: u32, optional: bool) -> Parameter {
    let (name, data_type) = (name.to_owned(), data_type.to_owned());
    Parameter {
        name,
        data_type,
        position,
        doc_string: None,
        optional,
    }
}

fn definition(
    id: TaskDefinitionId,
    parameters: Vec<Parameter>,
    outputs: Vec<Parameter>,
) -> (TaskDefinitionId, Arc<Definition>) {
    let definition = Definition {
        id,
        name: "Copy a file".to_owned(),
        integration: "files".to_owned(),
        kind: Kind::Python,
        method: "copy".to_owned(),
        code_digest: "c0de".to_owned(),
        pure: false,
        repeatable: true,
        takes_any: id == ECHO,
        parameters,
        outputs,
    };
    (id, Arc::new(definition))
}

fn catalogue() -> Catalogue {
    HashMap::from([
        definition(ECHO, vec![], vec![]),
        definition(
            COPY,
            // Declared out of order: positions decide.
            vec![
                parameter("mode", "integer", 2, true),
                parameter("path", "string", 1, false),
                parameter("result", "any", 3, true),
            ],
            vec![
                parameter("path", "string", 1, false),
                parameter("size", "integer", 2, false),
            ],
        ),
        definition(
            EVALUATE,
            vec![parameter("expression", "expression", 1, false)],
            vec![],
        ),
        definition(COUNT, vec![], vec![parameter("result", "any", 1, false)]),
    ])
}

pub fn operation(index: u32, name: &str) -> OperationSpec {
    OperationSpec {
        name: name.to_owned(),
        task_definition: ECHO,
        index,
        instruction: None,
        arguments: Some(serde_json::Map::new()),
        when: None,
        trigger_rule: TriggerRule::AllSuccess,
        retry: Retry::NONE,
        timeout_ms: None,
        approval: None,
    }
}

/// An operation with its definition and arguments; `null`: none, so that they are bound by name.
pub fn calling(index: u32, name: &str, task: TaskDefinitionId, arguments: Value) -> OperationSpec {
    OperationSpec {
        task_definition: task,
        arguments: arguments.as_object().cloned(),
        ..operation(index, name)
    }
}

pub fn flow(operations: Vec<OperationSpec>, edges: &[(u32, u32)]) -> FlowSpec {
    let dependency = |&(source, target): &(u32, u32)| DependencySpec {
        source_task_operation: source,
        target_task_operation: target,
        instruction: None,
    };
    FlowSpec {
        name: "A flow".to_owned(),
        task_operations: operations,
        dependencies: edges.iter().map(dependency).collect(),
        ..FlowSpec::default()
    }
}

/// `fetch` (1), `join` (2), `load` (3), the arguments of the last as given.
pub fn three(arguments: Value, edges: &[(u32, u32)]) -> FlowSpec {
    let operations = vec![
        operation(1, "fetch"),
        operation(2, "join"),
        calling(3, "load", ECHO, arguments),
    ];
    flow(operations, edges)
}

fn faults(spec: FlowSpec) -> Vec<Fault> {
    Flow::check(spec, &catalogue()).expect_err("a flow at fault")
}

pub fn only_fault(spec: FlowSpec) -> Fault {
    let mut faults = faults(spec);
    assert_eq!(faults.len(), 1, "{faults:#?}");
    faults.remove(0)
}

pub fn accepted(spec: FlowSpec) -> Flow {
    Flow::check(spec, &catalogue()).unwrap_or_else(|faults| panic!("{faults:#?}"))
}

fn order(flow: &Flow) -> Vec<u32> {
    flow.body()
        .operations
        .iter()
        .map(|operation| operation.index)
        .collect()
}

#[test]
fn operations_stand_in_topological_order_with_ties_broken_by_index() {
    let operations = vec![
        operation(9, "nine"),
        operation(4, "four"),
        operation(7, "seven"),
        operation(2, "two"),
        operation(5, "five"),
    ];
    let flow = accepted(flow(operations, &[(9, 2), (7, 2), (5, 4)]));
    assert_eq!(order(&flow), [5, 4, 7, 9, 2]);
    assert_eq!(flow.body().edges, [(5, 4), (7, 2), (9, 2)]);
    assert_eq!(flow.name(), "A flow");
}

#[test]
fn a_flow_of_nothing_is_a_flow() {
    let flow = accepted(flow(vec![], &[]));
    assert!(flow.graph().unwrap().is_empty());
}

#[test]
fn an_operation_carries_its_definition() {
    let flow = accepted(flow(
        vec![calling(1, "copy", COPY, json!({"path": "/a"}))],
        &[],
    ));
    let planned = &flow.body().operations[0];
    assert_eq!(
        (planned.integration.as_str(), planned.method.as_str()),
        ("files", "copy")
    );
    assert_eq!(planned.code_digest, "c0de");
    let names: Vec<&str> = planned
        .parameters
        .iter()
        .map(|known| known.name.as_str())
        .collect();
    assert_eq!(names, ["path", "mode", "result"]);
    assert_eq!(
        planned.arguments,
        Arguments::Given([("path".to_owned(), json!("/a"))].into())
    );
}

#[test]
fn an_unknown_task_definition_is_a_fault() {
    let fault = only_fault(flow(
        vec![calling(1, "copy", UNKNOWN, json!({"x": 1}))],
        &[],
    ));
    assert_eq!(fault.loc, loc!["task_operations", 0, "task_definition"]);
    assert_eq!(fault.kind, "unknown_task_definition");
}

#[test]
fn an_index_used_twice_is_a_fault() {
    let fault = only_fault(flow(vec![operation(1, "one"), operation(1, "uno")], &[]));
    assert_eq!(fault.loc, loc!["task_operations", 1, "index"]);
    assert_eq!(
        (fault.kind, fault.msg.as_str()),
        ("duplicate_index", "the index 1 is `one`'s already")
    );
}

#[test]
fn an_index_past_the_range_is_a_fault() {
    let fault = only_fault(flow(vec![operation(1 << 31, "one")], &[]));
    assert_eq!(fault.loc, loc!["task_operations", 0, "index"]);
    assert_eq!(fault.kind, "out_of_range");
}

#[rstest]
#[case(&[(8, 1)], loc!["dependencies", 0, "source_task_operation"], "unknown_index", "index 8")]
#[case(&[(1, 2), (1, 8)], loc!["dependencies", 1, "target_task_operation"], "unknown_index", "index 8")]
#[case(&[(2, 2)], loc!["dependencies", 0], "self_dependency", "`join` (index 2) depends on itself")]
#[case(&[(1, 2), (2, 3), (1, 2)], loc!["dependencies", 2], "duplicate_dependency", "`fetch` → `join` is there already, as dependency 0")]
#[case(&[(1, 2), (2, 1)], loc!["dependencies"], "cycle", "fetch → join → fetch")]
#[case(&[(3, 2), (2, 1), (1, 3)], loc!["dependencies"], "cycle", "fetch → load → join → fetch")]
fn a_dependency_at_fault_is_named(
    #[case] edges: &[(u32, u32)],
    #[case] loc: Vec<Loc>,
    #[case] kind: &str,
    #[case] words: &str,
) {
    let fault = only_fault(three(json!({}), edges));
    assert_eq!((&fault.loc, fault.kind), (&loc, kind));
    assert!(fault.msg.contains(words), "{}", fault.msg);
}

#[test]
fn a_dependency_without_ends_has_two_faults() {
    let faults = faults(three(json!({}), &[(8, 9)]));
    let locs: Vec<_> = faults.into_iter().map(|fault| fault.loc).collect();
    assert_eq!(
        locs,
        [
            loc!["dependencies", 0, "source_task_operation"],
            loc!["dependencies", 0, "target_task_operation"],
        ]
    );
}

#[test]
fn each_component_has_one_cycle_named_the_shortest_through_its_first() {
    let operations = (1..=7)
        .map(|index| operation(index, &format!("t{index}")))
        .collect();
    let edges = [
        (1, 2),
        (2, 3),
        (3, 1),
        (2, 1),
        (3, 4),
        (4, 5),
        (5, 6),
        (6, 5),
        (6, 7),
    ];
    let cycles: Vec<String> = faults(flow(operations, &edges))
        .into_iter()
        .map(|fault| fault.msg)
        .collect();
    assert_eq!(
        cycles,
        [
            "these tasks wait for each other: t1 → t2 → t1",
            "these tasks wait for each other: t5 → t6 → t5"
        ]
    );
}

#[test]
fn a_cycle_of_ten_thousand_is_named_in_short() {
    let operations = (0..10_000)
        .map(|index| operation(index, &format!("t{index}")))
        .collect();
    let edges: Vec<_> = (0..10_000)
        .map(|index| (index, (index + 1) % 10_000))
        .collect();
    let fault = only_fault(flow(operations, &edges));
    assert!(fault.msg.contains("t0 → t1 → t2"), "{}", fault.msg);
    assert!(
        fault.msg.ends_with("t19 → … 9980 more … → t0"),
        "{}",
        fault.msg
    );
}

#[rstest]
#[case(COPY, json!({}), loc!["task_operations", 0, "arguments", "path"], "missing_argument", "`path` (string) is missing")]
#[case(COPY, json!({"path": "/a", "paht": 1}), loc!["task_operations", 0, "arguments", "paht"], "unknown_argument", "has no parameter `paht`; it takes `mode`, `path`, `result`")]
#[case(COUNT, json!({"x": 1}), loc!["task_operations", 0, "arguments", "x"], "unknown_argument", "it takes nothing")]
#[case(ECHO, json!({"x": "{{ 1 + }}"}), loc!["task_operations", 0, "arguments", "x"], "bad_expression", "syntax error")]
#[case(ECHO, json!({"x": ["a", {"b": "{{ 1 | nofilter }}"}]}), loc!["task_operations", 0, "arguments", "x", 1, "b"], "bad_expression", "no filter `nofilter`")]
#[case(ECHO, json!({"x": "{{ 1"}), loc!["task_operations", 0, "arguments", "x"], "bad_expression", "`{{` without `}}`")]
#[case(EVALUATE, json!({"expression": 5}), loc!["task_operations", 0, "arguments", "expression"], "bad_expression", "given as a string")]
#[case(EVALUATE, json!({"expression": "1 +"}), loc!["task_operations", 0, "arguments", "expression"], "bad_expression", "syntax error")]
#[case(EVALUATE, json!({"expression": "tasks.nobody.result"}), loc!["task_operations", 0, "arguments", "expression"], "unknown_task", "`tasks.nobody`")]
fn an_argument_at_fault_is_named(
    #[case] task: TaskDefinitionId,
    #[case] arguments: Value,
    #[case] loc: Vec<Loc>,
    #[case] kind: &str,
    #[case] words: &str,
) {
    let fault = only_fault(flow(vec![calling(1, "it", task, arguments)], &[]));
    assert_eq!((&fault.loc, fault.kind), (&loc, kind));
    assert!(fault.msg.contains(words), "{}", fault.msg);
}

#[rstest]
#[case(json!({"expression": "1 + 1"}))]
#[case(json!({"expression": "{{ 1 + 1 }}"}))]
#[case(json!({"expression": "{'a': {'b': 1}}"}))]
fn an_expression_may_be_written_with_and_without_braces(#[case] arguments: Value) {
    accepted(flow(vec![calling(1, "it", EVALUATE, arguments)], &[]));
}

#[test]
fn an_argument_nested_too_deeply_is_a_fault() {
    let deep = (0..40).fold(json!(1), |inner, _| json!([inner]));
    let fault = only_fault(three(json!({ "x": deep }), &[]));
    assert_eq!(fault.loc[..4], loc!["task_operations", 2, "arguments", "x"]);
    assert!(fault.msg.contains("levels deep"), "{}", fault.msg);
}

#[rstest]
#[case("{{ tasks.nobody.result }}", "unknown_task")]
#[case("{{ tasks.load.result }}", "not_upstream")]
#[case("{{ tasks.join.result[:1] }}", "not_upstream")]
fn a_reference_at_fault_is_named_at_its_exact_place(#[case] text: &str, #[case] kind: &str) {
    let arguments = json!({"x": {"ok": "{{ tasks.fetch.result }}", "list": [0, text]}});
    let fault = only_fault(three(arguments, &[(1, 3)]));
    assert_eq!(
        fault.loc,
        loc!["task_operations", 2, "arguments", "x", "list", 1]
    );
    assert_eq!(fault.kind, kind);
}

#[test]
fn a_condition_at_fault_is_named() {
    let mut spec = three(json!({}), &[(1, 3)]);
    spec.task_operations[2].when = Some("tasks.join.result == 1".to_owned());
    let fault = only_fault(spec.clone());
    assert_eq!(
        (fault.loc, fault.kind),
        (loc!["task_operations", 2, "when"], "not_upstream")
    );
    assert_eq!(
        fault.msg,
        "`tasks.join`: `load` does not depend on `join`, directly or through others"
    );
    spec.task_operations[2].when = Some("1 ==".to_owned());
    let fault = only_fault(spec);
    assert_eq!(
        (fault.loc, fault.kind),
        (loc!["task_operations", 2, "when"], "bad_expression")
    );
}

#[test]
fn a_key_of_two_names_is_a_fault_only_where_it_is_used() {
    let named = |text: &str| {
        let operations = vec![
            operation(1, "Read-rows"),
            operation(2, "read rows"),
            calling(3, "Use", ECHO, json!({ "x": text })),
        ];
        flow(operations, &[(1, 3), (2, 3)])
    };
    accepted(named("{{ request.name }}"));
    let fault = only_fault(named("{{ tasks.read_rows.result }}"));
    assert_eq!(fault.kind, "ambiguous_task");
}

#[test]
fn a_reference_may_go_through_others() {
    let arguments = json!({"x": "{{ tasks.fetch.result }}"});
    accepted(three(arguments.clone(), &[(1, 2), (2, 3)]));
    let fault = only_fault(three(arguments, &[(3, 2), (2, 1)]));
    assert_eq!(fault.kind, "not_upstream");
}

#[test]
fn settings_out_of_range_are_faults() {
    let mut spec = three(json!({}), &[]);
    spec.timeout_ms = Some(0);
    spec.task_operations[0].retry.max_attempts = 0;
    spec.task_operations[1].timeout_ms = Some(0);
    let faults = faults(spec);
    let locs: Vec<_> = faults.iter().map(|fault| fault.loc.clone()).collect();
    assert_eq!(
        locs,
        [
            loc!["timeout_seconds"],
            loc!["task_operations", 0, "retry", "max_attempts"],
            loc!["task_operations", 1, "timeout_seconds"],
        ]
    );
    assert!(faults.iter().all(|fault| fault.kind == "out_of_range"));
}

#[test]
fn every_fault_is_listed_at_once() {
    let operations = vec![
        calling(1, "a", UNKNOWN, json!({"x": "{{ 1 + }}"})),
        calling(1, "b", COPY, json!({"y": "{{ tasks.nobody.result }}"})),
        operation(2, "c"),
        operation(3, "d"),
    ];
    let edges = [(2, 3), (3, 2), (2, 2), (2, 9), (2, 3)];
    let kinds: HashSet<&str> = faults(flow(operations, &edges))
        .into_iter()
        .map(|fault| fault.kind)
        .collect();
    let expected = [
        "unknown_task_definition",
        "bad_expression",
        "duplicate_index",
        "missing_argument",
        "unknown_argument",
        "unknown_task",
        "cycle",
        "self_dependency",
        "unknown_index",
        "duplicate_dependency",
    ];
    assert_eq!(kinds, HashSet::from(expected));
}

#[test]
fn a_hundred_faults_are_told_and_the_rest_is_counted() {
    let operations = (0..1_000).map(|_| operation(7, "same")).collect();
    let faults = faults(flow(operations, &[]));
    assert_eq!(faults.len(), 101);
    assert_eq!(
        (faults[100].msg.as_str(), faults[100].kind),
        ("and 899 more", "more_faults")
    );
}

#[test]
fn too_many_operations_or_dependencies_are_a_fault() {
    let operations = (0..=MAX_OPERATIONS as u32)
        .map(|index| operation(index, "one"))
        .collect();
    let edges = vec![(0, 1); MAX_DEPENDENCIES + 1];
    let faults = faults(flow(operations, &edges));
    let told: Vec<_> = faults
        .into_iter()
        .map(|fault| (fault.loc, fault.kind))
        .collect();
    assert_eq!(
        told,
        [
            (loc!["task_operations"], "too_many"),
            (loc!["dependencies"], "too_many")
        ]
    );
}

#[test]
fn too_many_expressions_are_a_fault() {
    let many = vec!["{{ 1 }}"; 6_000];
    let operations = (0..10)
        .map(|index| calling(index, "it", ECHO, json!({ "x": many })))
        .collect();
    let fault = only_fault(flow(operations, &[]));
    assert_eq!(
        (fault.loc, fault.kind),
        (loc!["task_operations"], "too_many")
    );
}

/// The sources of the operation with this index.
fn sources(flow: &Flow, index: u32) -> Vec<NamedSource> {
    let operation = flow
        .body()
        .operations
        .iter()
        .find(|operation| operation.index == index)
        .unwrap();
    match &operation.arguments {
        Arguments::ByName(sources) => sources.clone(),
        given => panic!("{given:?}"),
    }
}

#[test]
fn a_parameter_without_argument_takes_the_nearest_output_of_its_name() {
    // 1 → 2 → 3 → 5, and 4 → 1: `path` comes from 2 (two steps), `result` from 4 (four), nobody gives `mode`.
    let operations = vec![
        calling(1, "far", COPY, json!({"path": "/a"})),
        calling(2, "near", COPY, json!({"path": "/a"})),
        operation(3, "between"),
        calling(4, "count", COUNT, json!({})),
        calling(5, "taker", COPY, Value::Null),
    ];
    let flow = accepted(flow(operations, &[(1, 2), (2, 3), (3, 5), (4, 1)]));
    assert_eq!(
        sources(&flow, 5),
        [
            source("path", Some(2), false, false),
            source("mode", None, false, true),
            source("result", Some(4), true, true),
        ]
    );
}

#[test]
fn one_source_on_two_ways_is_no_tie() {
    let operations = vec![
        calling(1, "source", COPY, json!({"path": "/a"})),
        operation(2, "left"),
        operation(3, "right"),
        calling(4, "taker", COPY, Value::Null),
    ];
    let flow = accepted(flow(operations, &[(1, 2), (1, 3), (2, 4), (3, 4)]));
    assert_eq!(sources(&flow, 4)[0].upstream, Some(1));
}

#[test]
fn two_sources_equally_near_are_a_fault() {
    let operations = vec![
        calling(1, "left", COPY, json!({"path": "/a"})),
        calling(2, "right", COPY, json!({"path": "/a"})),
        operation(3, "between"),
        calling(4, "taker", COPY, Value::Null),
    ];
    let fault = only_fault(flow(operations, &[(1, 3), (2, 3), (3, 4)]));
    assert_eq!(
        (fault.loc, fault.kind),
        (loc!["task_operations", 3], "ambiguous_source")
    );
    assert!(
        fault
            .msg
            .contains("`path` could come from `left` or from `right`"),
        "{}",
        fault.msg
    );
}

/// Indexes of `len` operations in any order, and edges that all run the same way along another order.
fn acyclic(most: usize) -> impl Strategy<Value = (Vec<u32>, Vec<(u32, u32)>)> {
    (1..most).prop_flat_map(|len| {
        let indexes = Just((0..len as u32).map(|at| at * 3 + 1).collect::<Vec<_>>()).prop_shuffle();
        let pairs = prop::collection::vec((0..len, 0..len), 0..len * 3);
        (indexes.clone(), indexes, pairs).prop_map(|(posted, ranks, pairs)| {
            let mut edges: Vec<(u32, u32)> = pairs
                .into_iter()
                .filter(|(one, other)| one != other)
                .map(|(one, other)| (ranks[one.min(other)], ranks[one.max(other)]))
                .collect();
            edges.sort_unstable();
            edges.dedup();
            (posted, edges)
        })
    })
}

fn named(indexes: &[u32]) -> Vec<OperationSpec> {
    indexes
        .iter()
        .map(|index| operation(*index, &format!("t{index}")))
        .collect()
}

/// What stands upstream of each index, found the slow way.
fn upstream(edges: &[(u32, u32)], of: u32) -> HashSet<u32> {
    let mut found = HashSet::new();
    let mut open = vec![of];
    while let Some(target) = open.pop() {
        for (from, _) in edges.iter().filter(|(_, to)| *to == target) {
            if found.insert(*from) {
                open.push(*from);
            }
        }
    }
    found
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 200, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn acyclic_flows_are_accepted_and_ordered((indexes, edges) in acyclic(40)) {
        let flow = accepted(flow(named(&indexes), &edges));
        let order = order(&flow);
        let place: HashMap<u32, usize> = order.iter().enumerate().map(|(at, index)| (*index, at)).collect();
        prop_assert_eq!(place.len(), indexes.len());
        prop_assert!(edges.iter().all(|(from, to)| place[from] < place[to]));
        // The least index that is free comes first, at each step.
        for (at, index) in order.iter().enumerate() {
            let free = order[at..].iter().filter(|later| {
                edges.iter().all(|(from, to)| to != *later || place[from] < at)
            });
            prop_assert_eq!(Some(index), free.min());
        }
    }

    #[test]
    fn the_order_in_which_a_flow_is_posted_does_not_matter((indexes, edges) in acyclic(20), seed in any::<u64>()) {
        let once = accepted(flow(named(&indexes), &edges)).graph().unwrap();
        let (mut indexes, mut edges) = (indexes, edges);
        let len = indexes.len();
        indexes.rotate_left(seed as usize % len);
        edges.reverse();
        let again = accepted(flow(named(&indexes), &edges)).graph().unwrap();
        prop_assert_eq!(once.hash(), again.hash());
    }

    #[test]
    fn a_planted_cycle_is_found((indexes, edges) in acyclic(30), at in any::<prop::sample::Index>()) {
        prop_assume!(!edges.is_empty());
        let (from, to) = edges[at.index(edges.len())];
        let edges = [edges, vec![(to, from)]].concat();
        let kinds: Vec<_> = faults(flow(named(&indexes), &edges)).into_iter().map(|fault| fault.kind).collect();
        prop_assert_eq!(kinds, ["cycle"]);
    }

    #[test]
    fn exactly_the_references_that_are_not_upstream_are_faults(
        (indexes, edges) in acyclic(100),
        pairs in prop::collection::vec((any::<prop::sample::Index>(), any::<prop::sample::Index>()), 1..90),
    ) {
        let mut operations = named(&indexes);
        let mut expected = HashSet::new();
        for (of, to) in pairs {
            let (place, target) = (of.index(indexes.len()), indexes[to.index(indexes.len())]);
            let name = format!("to_{target}");
            let arguments = operations[place].arguments.as_mut().unwrap();
            arguments.insert(name.clone(), json!(format!("{{{{ tasks.t{target}.result }}}}")));
            if !upstream(&edges, indexes[place]).contains(&target) {
                expected.insert(shown(loc!["task_operations", place, "arguments", name]));
            }
        }
        let found = match Flow::check(flow(operations, &edges), &catalogue()) {
            Ok(_) => vec![],
            Err(faults) => faults,
        };
        prop_assert!(found.iter().all(|fault| fault.kind == "not_upstream"));
        let found: HashSet<Vec<String>> = found.into_iter().map(|fault| fault.loc).map(shown).collect();
        prop_assert_eq!(found, expected);
    }

    #[test]
    fn the_nearest_source_is_the_one_a_search_finds(
        (indexes, edges) in acyclic(30),
        givers in prop::collection::vec(any::<bool>(), 30),
    ) {
        let operations = indexes.iter().zip(&givers).map(|(index, gives)| {
            let task = if *gives { COUNT } else { ECHO };
            calling(*index, &format!("t{index}"), task, json!({}))
        });
        let mut operations: Vec<_> = operations.collect();
        let gives: HashSet<u32> = indexes.iter().zip(&givers).filter(|(_, gives)| **gives).map(|(index, _)| *index).collect();
        // One more operation, behind some of them, takes `result` by name.
        operations.push(calling(0, "taker", COPY, Value::Null));
        let behind: Vec<u32> = indexes.iter().copied().filter(|index| index % 2 == 1).take(3).collect();
        let edges = [edges, behind.iter().map(|index| (*index, 0)).collect()].concat();
        let mut level = HashSet::from([0]);
        let nearest = loop {
            level = edges.iter().filter(|(_, to)| level.contains(to)).map(|(from, _)| *from).collect();
            let found: HashSet<u32> = level.intersection(&gives).copied().collect();
            if level.is_empty() || !found.is_empty() {
                break found;
            }
        };
        match Flow::check(flow(operations, &edges), &catalogue()) {
            Ok(flow) => {
                let upstream = sources(&flow, 0)[2].upstream;
                prop_assert!(nearest.len() <= 1, "{nearest:?}");
                prop_assert_eq!(upstream, nearest.into_iter().next());
            }
            Err(faults) => {
                prop_assert_eq!(faults[0].kind, "ambiguous_source");
                prop_assert!(nearest.len() > 1, "{nearest:?}");
            }
        }
    }
}

fn shown(loc: Vec<Loc>) -> Vec<String> {
    loc.into_iter().map(|step| format!("{step:?}")).collect()
}
