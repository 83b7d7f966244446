//! Arguments and conditions: what tasks are called with, and what expressions may not do.

use neena_engine::Json;
use neena_engine::binding::Scope;
use neena_engine::ids::RunId;
use neena_engine::plan::{Arguments, Graph, Head};
use rstest::rstest;
use serde_json::{Value, json};

use crate::harness::{Given, bind, declared, given, graph, operation, parsed, source, value_of};

fn rows() -> Given {
    Given::new(
        json!({"since": "2026-01-01", "trap": "{{ 7*7 }}", "n": 3}),
        &[(
            0,
            json!({"rows": [1, 2.5, "a"], "big": 9007199254740993u64, "trap": "{{7*7}}"}),
        )],
    )
}

#[rstest]
#[case("{{ tasks.read_rows.result.rows }}", json!([1, 2.5, "a"]))]
#[case("{{ tasks['read_rows']['result'].big }}", json!(9007199254740993u64))]
#[case("{{ tasks.read_rows.result.rows | length + 1 }}", json!(4))]
#[case("{{ tasks.read_rows.result.rows[:1] }}", json!([1]))]
#[case("since {{ request.metadata.since }}: {{ tasks.read_rows.result.rows }}", json!("since 2026-01-01: [1,2.5,\"a\"]"))]
#[case("{{ request.instructions | upper }}", json!("DO IT NOW"))]
#[case("{{ request.name }}", json!(null))]
#[case("{{ run.triggered_by }}", json!("user@example.com"))]
#[case("{{ run.id }}", json!("00000000-0000-0000-0000-000000000003"))]
#[case("a  {{- ' }} ' -}}  b", json!("a }} b"))]
#[case("{{ {'a': {'b': 1}} }}", json!({"a": {"b": 1}}))]
#[case("{{ range(3) }}", json!([0, 1, 2]))]
#[case("{{ '{{' }} stays", json!("{{ stays"))]
#[case("{% if x %}{# no statements #}", json!("{% if x %}{# no statements #}"))]
fn an_expression_has_a_value(#[case] text: &str, #[case] value: Value) {
    assert_eq!(value_of(text, &rows()).unwrap(), value);
}

#[test]
fn every_argument_is_explained() {
    let arguments =
        json!({"a": 1, "b": "{{ tasks.read_rows.result.big }}", "c": ["x", "{{ run.id }}"]});
    let bound = bind(arguments, &rows()).unwrap();
    assert_eq!(
        parsed(&bound.prep_answer),
        json!({"parameters": [
            {"name": "a", "value": 1, "explanation": "given in the flow"},
            {"name": "b", "value": 9007199254740993u64, "explanation": "from `{{ tasks.read_rows.result.big }}`"},
            {"name": "c", "value": ["x", "00000000-0000-0000-0000-000000000003"], "explanation": "from `{{ run.id }}`"},
        ]})
    );
}

#[test]
fn parameters_are_bound_by_name_from_metadata_then_upstream() {
    let mut second = operation(2, "Use rows");
    second.parameters = vec![
        declared("since", "string"),
        declared("rows", "array"),
        declared("all", "object"),
        declared("extra", "string"),
    ];
    second.arguments = Arguments::ByName(vec![
        source("since", Some(1), false, false),
        source("rows", Some(1), false, false),
        source("all", Some(1), true, false),
        source("extra", None, false, true),
    ]);
    let graph = graph(vec![operation(1, "Read rows"), second], &[(1, 2)]);
    let bound = graph.bind(1, &rows()).unwrap();
    let whole = json!({"rows": [1, 2.5, "a"], "big": 9007199254740993u64, "trap": "{{7*7}}"});
    assert_eq!(
        parsed(&bound.arguments),
        json!({"since": "2026-01-01", "rows": [1, 2.5, "a"], "all": whole})
    );
    let prepared = parsed(&bound.prep_answer);
    let explanations: Vec<&str> = prepared["parameters"]
        .as_array()
        .unwrap()
        .iter()
        .map(|parameter| parameter["explanation"].as_str().unwrap())
        .collect();
    assert_eq!(
        explanations,
        [
            "from the request's metadata `since`",
            "from the output `rows` of `Read rows`",
            "from the output `all` of `Read rows`",
            "left out: optional",
        ]
    );
}

#[rstest]
#[case("tasks.read_rows.result.big > 3", true)]
#[case("{{ tasks.read_rows.result.big < 3 }}", false)]
#[case("tasks.skipped.result is defined", false)]
#[case("tasks.skipped.result | default(true)", true)]
fn a_condition_is_true_or_false(#[case] when: &str, #[case] wanted: bool) {
    let mut third = operation(3, "Use rows");
    third.when = Some(when.to_owned());
    third.arguments = given(json!({}));
    let graph = graph(
        vec![operation(1, "Read rows"), operation(2, "Skipped"), third],
        &[(1, 3), (2, 3)],
    );
    assert_eq!(graph.when(2, &rows()), Ok(wanted));
}

/// An operation bound by name that takes `x` of this type from `Read rows`.
fn taker(data_type: &str, whole: bool, optional: bool) -> Graph {
    let mut second = operation(2, "Use rows");
    second.parameters = vec![declared("x", data_type)];
    second.arguments = Arguments::ByName(vec![source("x", Some(1), whole, optional)]);
    graph(vec![operation(1, "Read rows"), second], &[(1, 2)])
}

#[test]
fn an_expression_in_the_metadata_is_evaluated() {
    let scope = Given::new(
        json!({"x": "tasks.read_rows.result + 1"}),
        &[(0, json!(41))],
    );
    let bound = taker("expression", true, false).bind(1, &scope).unwrap();
    assert_eq!(bound.arguments.text(), r#"{"x":42}"#);
}

#[rstest]
#[case::whole(true, json!("1 + 1"))]
#[case::field(false, json!({"x": "1 + 1"}))]
fn an_expression_from_upstream_is_a_value(#[case] whole: bool, #[case] result: Value) {
    let bound = taker("expression", whole, false)
        .bind(1, &Given::new(json!({}), &[(0, result)]))
        .unwrap();
    assert_eq!(bound.arguments.text(), r#"{"x":"1 + 1"}"#);
}

#[test]
fn text_in_the_metadata_is_text_for_any_other_type() {
    let scope = Given::new(json!({"x": "{{ 1 + 1 }}"}), &[]);
    let bound = taker("string", true, false).bind(1, &scope).unwrap();
    assert_eq!(bound.arguments.text(), r#"{"x":"{{ 1 + 1 }}"}"#);
}

#[test]
fn a_given_expression_needs_no_braces() {
    let mut echo = operation(1, "Echo");
    echo.parameters = vec![declared("expression", "expression")];
    echo.arguments = given(json!({"expression": "request.metadata.n * 2"}));
    let bound = graph(vec![echo], &[]).bind(0, &rows()).unwrap();
    assert_eq!(bound.arguments.text(), r#"{"expression":6}"#);
}

#[rstest]
#[case::skipped(&[])]
#[case::no_such_field(&[(0, json!({"y": 1}))])]
#[case::no_object(&[(0, json!("text"))])]
fn an_output_that_is_not_there_is_left_out_or_an_error(#[case] results: &[(usize, Value)]) {
    let scope = Given::new(json!({}), results);
    let bound = taker("string", false, true).bind(1, &scope).unwrap();
    assert_eq!(bound.arguments.text(), "{}");
    assert_eq!(
        parsed(&bound.prep_answer)["parameters"][0]["explanation"],
        "left out: optional"
    );
    let error = taker("string", false, false).bind(1, &scope).unwrap_err();
    assert_eq!(error.kind(), "binding");
    assert_eq!(
        error.to_string(),
        "argument `x`: `Read rows` gave no output `x`"
    );
}

#[test]
fn arguments_that_never_change_are_written_once() {
    let mut echo = operation(1, "Echo");
    echo.arguments = given(json!({"a": [1, {"b": "c"}]}));
    let graph = graph(vec![echo], &[]);
    let (one, other) = (
        graph.bind(0, &rows()).unwrap(),
        graph.bind(0, &rows()).unwrap(),
    );
    assert_eq!(one.arguments.text(), r#"{"a":[1,{"b":"c"}]}"#);
    assert!(std::ptr::eq(one.arguments.text(), other.arguments.text()));
    assert!(std::ptr::eq(
        one.prep_answer.text(),
        other.prep_answer.text()
    ));
}

#[test]
fn a_whole_result_passes_as_the_text_it_is() {
    let text = r#"{ "big": 123456789012345678901234567890, "x": 1.0 }"#;
    let mut scope = Given::new(json!({}), &[]);
    scope.results.insert(0, Json::trusted(text));
    let bound = bind(json!({"a": "{{ tasks.read_rows.result }}"}), &scope).unwrap();
    assert_eq!(bound.arguments.text(), format!(r#"{{"a":{text}}}"#));
    let bound = taker("any", true, false).bind(1, &scope).unwrap();
    assert_eq!(bound.arguments.text(), format!(r#"{{"x":{text}}}"#));
}

/// A scope that tells which results were asked for.
struct Watched(Given, std::cell::RefCell<Vec<usize>>);

impl Scope for Watched {
    fn head(&self) -> &Head {
        self.0.head()
    }

    fn run(&self) -> RunId {
        self.0.run()
    }

    fn result(&self, position: usize) -> Option<&Json> {
        self.1.borrow_mut().push(position);
        self.0.result(position)
    }

    fn gate(&self, position: usize) -> Option<&Json> {
        self.0.gate(position)
    }
}

#[test]
fn an_expression_looks_only_at_the_tasks_it_names() {
    let mut last = operation(4, "Last");
    last.arguments = given(json!({"x": "{{ tasks.t2.result + 1 }}"}));
    let others = [1, 2, 3].map(|index| operation(index, &format!("t{index}")));
    let graph = graph(
        [others.to_vec(), vec![last]].concat(),
        &[(1, 4), (2, 4), (3, 4)],
    );
    let scope = Watched(Given::new(json!({}), &[(1, json!(1))]), Default::default());
    assert_eq!(
        graph.bind(3, &scope).unwrap().arguments.text(),
        r#"{"x":2}"#
    );
    scope.1.borrow_mut().dedup();
    assert_eq!(*scope.1.borrow(), [1]);
}

#[rstest]
#[case(json!({"x": "x".repeat(1 << 20)}))]
#[case(json!({"x": "{{ request.metadata.long }}", "y": "{{ request.metadata.long }}"}))]
#[case(json!({"x": "{{ request.metadata.long }} and {{ request.metadata.long }}"}))]
#[case(json!({"x": "{{ tasks.read_rows.result }}", "y": "{{ tasks.read_rows.result }}"}))]
#[case(json!({"x": "{{ request.metadata.quotes }}"}))]
fn arguments_larger_than_a_mebibyte_are_refused(#[case] arguments: Value) {
    let metadata = json!({"long": "x".repeat(600_000), "quotes": "\"".repeat(600_000)});
    let scope = Given::new(metadata, &[(0, json!("y".repeat(600_000)))]);
    let error = bind(arguments, &scope).unwrap_err();
    assert_eq!(error.kind(), "arguments_too_large");
    assert!(
        error.to_string().ends_with("take more than 1048576 bytes"),
        "{error}"
    );
}

#[test]
fn an_error_names_argument_and_expression() {
    let error = bind(
        json!({"a": 1, "b": ["{{ 1 + tasks.read_rows.result }}"]}),
        &rows(),
    )
    .unwrap_err();
    assert_eq!(error.kind(), "binding");
    let words = error.to_string();
    assert!(
        words.starts_with("argument `b`: `{{ 1 + tasks.read_rows.result }}`: invalid operation"),
        "{words}"
    );
}

#[test]
fn a_condition_without_value_is_an_error() {
    let mut second = operation(2, "Use rows");
    second.when = Some("request.metadata.missing".to_owned());
    let graph = graph(vec![operation(1, "Read rows"), second], &[(1, 2)]);
    let error = graph.when(1, &rows()).unwrap_err();
    assert!(
        error
            .to_string()
            .starts_with("when: `{{ request.metadata.missing }}`: undefined"),
        "{error}"
    );
    assert_eq!(graph.when(0, &rows()), Ok(true));
}
