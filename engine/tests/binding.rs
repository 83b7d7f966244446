//! Arguments and conditions: what tasks are called with, and what expressions may not do.

use neena_engine::plan::Arguments;
use rstest::rstest;
use serde_json::{Value, json};

use crate::harness::{Given, bind, declared, given, graph, operation, source, value_of};

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
        serde_json::from_str::<Value>(bound.prep_answer.text()).unwrap(),
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
        serde_json::from_str::<Value>(bound.arguments.text()).unwrap(),
        json!({"since": "2026-01-01", "rows": [1, 2.5, "a"], "all": whole})
    );
    let prepared: Value = serde_json::from_str(bound.prep_answer.text()).unwrap();
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
