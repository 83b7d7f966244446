//! What expressions must not do: read what is not theirs, cost more than they may, take the engine down.

use std::time::Instant;

use proptest::prelude::*;
use rstest::rstest;
use serde_json::{Value, json};

use crate::harness::{Given, refusal_of, try_bind, value_of};

fn rows() -> Given {
    let long = "x".repeat(500_000);
    Given::new(
        json!({"trap": "{{ 7*7 }}", "deep": {"a": [1, {"b": "c"}]}, "n": 3}),
        &[(
            0,
            json!({"trap": "{{ 7*7 }}{% if x %}", "long": long, "rows": [1, 2.5, "a", null]}),
        )],
    )
}

#[rstest]
#[case("{{ request.metadata.trap }}", "{{ 7*7 }}")]
#[case("{{ tasks.read_rows.result.trap }}", "{{ 7*7 }}{% if x %}")]
#[case("<{{ request.metadata.trap }}>", "<{{ 7*7 }}>")]
#[case("{{ request.metadata.trap ~ '' }}", "{{ 7*7 }}")]
fn data_is_never_evaluated(#[case] text: &str, #[case] value: &str) {
    assert_eq!(value_of(text, &rows()).unwrap(), json!(value));
}

#[rstest]
#[case("{{ ''.__class__ }}", "undefined value")]
#[case("{{ request.metadata.__class__.__mro__ }}", "undefined value")]
#[case("{{ request.metadata['constructor'] }}", "undefined value")]
#[case("{{ request.__class__ }}", "`request` has no `__class__`")]
#[case("{{ self }}", "`self` is unknown")]
#[case("{{ loop }}", "`loop` is unknown")]
#[case("{{ env }}", "`env` is unknown")]
#[case("{{ debug() }}", "`debug` is unknown")]
#[case("{{ namespace() }}", "`namespace` is unknown")]
#[case("{{ include('x') }}", "`include` is unknown")]
#[case("{{ '' | attr('x') }}", "there is no filter `attr`")]
#[case("{{ '' | safe }}", "there is no filter `safe`")]
#[case("{{ [''] | map('safe') | list }}", "unknown filter")]
#[case("{{ [''] | select('filter') | list }}", "unknown test")]
#[case("{{ 1 is filter }}", "there is no test `filter`")]
#[case("{{ 'a'.upper() }}", "unknown method")]
#[case("{{ request() }}", "`request` is used by field")]
#[case("{{ request | tojson }}", "`request` is used by field")]
#[case("{{ [tasks] }}", "`tasks` is used as")]
#[case("{{ (tasks).a.result }}", "`tasks` is used as")]
#[case("{{ tasks[run.id] }}", "`tasks` is used as")]
#[case("{{ tasks.read_rows }}", "`tasks.read_rows` is used as")]
#[case("{{ tasks.read_rows.status }}", "`tasks.read_rows` is used as")]
#[case("{{ tasks['read\\x5frows'].result }}", "`tasks` is used as")]
#[case("{{ range }}", "is not JSON")]
fn an_expression_reaches_only_what_is_in_scope(#[case] text: &str, #[case] reason: &str) {
    let refusal = refusal_of(text, &rows());
    assert!(refusal.contains(reason), "{refusal}");
}

#[rstest]
#[case("{{ tasks.read_rows.result.rows[9] }}")]
#[case("{{ tasks.read_rows.result.rows[9].x }}")]
#[case("{{ tasks.skipped.result }}")]
#[case("{{ tasks.skipped.result.x | default(1) }}")]
#[case("text {{ request.metadata.missing }}")]
#[case("{{ [request.metadata.missing] }}")]
#[case("{{ {'a': request.metadata.missing} }}")]
#[case("{{ request.metadata.missing + 1 }}")]
fn a_value_that_is_not_there_is_an_error_that_names_the_expression(#[case] text: &str) {
    let refusal = refusal_of(text, &rows());
    assert!(refusal.starts_with("argument `x`: `{{ "), "{refusal}");
    assert!(refusal.contains("undefined"), "{refusal}");
}

#[rstest]
#[case("{{ 1 / 0 }}")]
#[case("{{ 1e308 * 10 }}")]
#[case("{{ 9223372036854775807 * 9223372036854775807 * 9223372036854775807 }}")]
#[case("{{ 2 ** 4000 }}")]
#[case("{{ range(1, 9, 0) }}")]
#[case("{{ range(10001) }}")]
#[case("{{ range(-9223372036854775807, 9223372036854775807) }}")]
#[case("{{ range(9223372036854775807, -9223372036854775807, -9223372036854775807) | length }}")]
#[case("{{ 'a' | int }}")]
#[case("{{ 1 + 'a' }}")]
#[case("{{ }}")]
#[case("{{ 1 +")]
#[case("{{ 'open }}")]
#[case("{{ 1 }} {{ } }}")]
#[case("{{ tasks..a }}")]
fn nonsense_is_an_error(#[case] text: &str) {
    if let Ok(Ok(bound)) = try_bind(json!({ "x": text }), &rows()) {
        // Saturating is an answer, too; what may not happen is a number that JSON does not have.
        assert!(serde_json::from_str::<Value>(bound.arguments.text()).is_ok());
    }
}

/// Built on the far side of what the word limit allows, in a thread with half the stack a worker's has.
fn in_a_small_stack<T: Send + 'static>(work: impl FnOnce() -> T + Send + 'static) -> T {
    std::thread::Builder::new()
        .stack_size(1 << 20)
        .spawn(work)
        .unwrap()
        .join()
        .unwrap()
}

#[rstest]
#[case::signs("-", "1", "")]
#[case::nots("not ", "1", "")]
#[case::parentheses("(", "1", ")")]
#[case::lists("[", "1", "]")]
#[case::maps("{'a':", "1", "}")]
#[case::sums("1+", "1", "")]
#[case::chains("1~", "1", "")]
#[case::powers("2**", "1", "")]
#[case::conditions("1 if 0 else ", "1", "")]
#[case::subscripts("", "request.metadata", "['a']")]
#[case::members("", "request.metadata", ".a")]
#[case::filters("", "1", "|abs")]
#[case::tests("", "1", " is defined")]
#[case::comparisons("1<", "1", "")]
#[case::calls("range(", "1", ")")]
fn depth_does_not_end_the_stack(#[case] open: &str, #[case] middle: &str, #[case] close: &str) {
    for depth in [10, 100, 120, 149, 240, 490, 5_000, 1_000_000] {
        let text = format!(
            "{{{{ {}{middle}{} }}}}",
            open.repeat(depth),
            close.repeat(depth)
        );
        // Any answer will do.
        in_a_small_stack(move || try_bind(json!({ "x": text }), &rows()).is_ok());
    }
}

#[rstest]
#[case("{{ 'x' * 100000000 }}")]
#[case("{{ [1] | tojson(indent=10000000000) }}")]
#[case("{{ [1] | tojson(10000000000) }}")]
#[case("{{ range(10000) | list | tojson(indent=100000) }}")]
#[case("{{ [1] * 100000000 }}")]
#[case("{{ range(10000) | map('string') | join('x' * 10000) }}")]
#[case("{{ [range(10000)] * 10000 }}")]
#[case("{{ ([range(10000)] * 1000) | map('sum') | list }}")]
#[case("{{ [tasks.read_rows.result.long] * 10 }}")]
#[case("{{ ([tasks.read_rows.result.long] * 1000) | join }}")]
#[case("{{ ([tasks.read_rows.result] * 1000) | tojson }}")]
#[case("{{ ([tasks.read_rows.result] * 1000) | string }}")]
#[case(
    "{{ tasks.read_rows.result.long | replace('x', 'yyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyy') }}"
)]
#[case(
    "{{ tasks.read_rows.result.long | replace('', 'yyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyy') }}"
)]
#[case(
    "{{ tasks.read_rows.result.long ~ tasks.read_rows.result.long ~ tasks.read_rows.result.long }}"
)]
#[case("{{ ((((range(10000)|list) * 100) | sort) * 100) | unique | list }}")]
#[case("{{ tasks.read_rows.result.long | list | sum(start='') }}")]
#[case("{{ range(10000) | map('default', tasks.read_rows.result.long, true) | join }}")]
#[case("{{ range(10000) | map(attribute='x', default=tasks.read_rows.result.long) | join }}")]
#[case("{{ range(10000) | map(attribute='x', default=[tasks.read_rows.result.long]) | join }}")]
#[case("{{ 3 * [tasks.read_rows.result.long] }}")]
#[case("{{ tasks.read_rows.result.rows * 3 }}")]
#[case("{{ (tasks.read_rows.result.rows | sort * 3 if true else 1) ~ 'x' }}")]
#[case("{{ -3 * (1 + 2) * request.metadata.deep.a is defined * [1] }}")]
#[case(
    "{{ [tasks.read_rows.result.long, tasks.read_rows.result.long, tasks.read_rows.result.long] }}"
)]
#[case("{{ tasks.read_rows.result.long | split('') | map('upper') | sort | join('') | length }}")]
fn cost_is_bounded(#[case] text: &str) {
    let started = Instant::now();
    let refusal = refusal_of(text, &rows());
    let known = [
        "too much work",
        "more than 1048576 bytes",
        "range gives at most",
        "too large",
        "only numbers and strings are multiplied",
        "sum starts from a number",
        "map takes",
        "tojson takes no arguments",
        "at too much data",
    ];
    assert!(
        known.iter().any(|reason| refusal.contains(reason)),
        "{refusal}"
    );
    // Milliseconds when optimized; the bound is for a build that is not.
    assert!(
        started.elapsed().as_secs() < 5,
        "took {:?}",
        started.elapsed()
    );
}

#[test]
fn a_template_of_ten_megabytes_is_refused_before_much_of_it_is_compiled() {
    let many = "a {{ 1 }} ".repeat(1_000_000);
    assert!(refusal_of(&many, &few()).contains("at most 1000 pieces"));
    let braces = "{{".repeat(5_000_000);
    assert!(refusal_of(&braces, &few()).contains("`{{` without `}}`"));
    let long = "x".repeat(10_000_000) + "{{ 1 }}";
    assert!(refusal_of(&long, &few()).contains("more than 1048576 bytes"));
}

fn few() -> Given {
    Given::new(
        json!({"deep": {"a": [1, {"b": "c"}]}}),
        &[(0, json!({"rows": [1, 2.5, "a", null]}))],
    )
}

/// Words that make sense often enough to get past the parser.
fn word() -> impl Strategy<Value = &'static str> {
    prop::sample::select(vec![
        "tasks.read_rows.result",
        "tasks.read_rows.result.rows",
        "request.metadata",
        "request.name",
        "run.id",
        "range(5)",
        "range",
        "1",
        "0",
        "-1",
        "2.5",
        "9223372036854775807",
        "-9223372036854775808",
        "18446744073709551615",
        "340282366920938463463374607431768211455",
        "1e308",
        "0.0",
        "'a'",
        "\"é\"",
        "''",
        "'%s'",
        "[]",
        "{}",
        "[1, 2]",
        "{'a': 1}",
        "none",
        "true",
        "false",
        "(",
        ")",
        "[",
        "]",
        ",",
        "+",
        "-",
        "*",
        "/",
        "//",
        "%",
        "**",
        "~",
        "==",
        "!=",
        "<",
        ">=",
        "and",
        "or",
        "not",
        "in",
        "is",
        "if",
        "else",
        ".",
        ":",
        "=",
        "| abs",
        "| bool",
        "| capitalize",
        "| chain([1])",
        "| count",
        "| default(1)",
        "| dictsort",
        "| first",
        "| float",
        "| int",
        "| items",
        "| join(',')",
        "| last",
        "| length",
        "| lines",
        "| list",
        "| lower",
        "| map('abs')",
        "| map(attribute='a')",
        "| max",
        "| min",
        "| reject",
        "| rejectattr('a')",
        "| replace('a', 'b')",
        "| reverse",
        "| round",
        "| round(400)",
        "| round(-400)",
        "| select",
        "| selectattr('a')",
        "| sort",
        "| sort(reverse=true)",
        "| split",
        "| split('a', -1)",
        "| string",
        "| sum",
        "| title",
        "| tojson",
        "| tojson(indent=2)",
        "| trim",
        "| unique",
        "| upper",
        "| zip([1])",
        "is defined",
        "is divisibleby 0",
        "is divisibleby -1",
        "is odd",
        "is even",
        "is in [1]",
        "is string",
        "is sameas 1",
        "[0]",
        "[-1]",
        "[::2]",
        "[::-1]",
        "[1:]",
        "[:-1]",
        "[::0]",
        "['a']",
        ".a",
        "[9223372036854775807:]",
        "[:-9223372036854775808]",
        "[::-9223372036854775808]",
    ])
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 2_000, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn no_expression_panics(words in prop::collection::vec(word(), 1..9)) {
        let text = format!("{{{{ {} }}}}", words.join(" "));
        if let Ok(Ok(bound)) = try_bind(json!({ "x": text }), &few()) {
            prop_assert!(serde_json::from_str::<Value>(bound.arguments.text()).is_ok());
        }
    }

    #[test]
    fn no_string_panics(text in "[{}%# '\"\\\\a.\\-|()\\[\\]é1]{0,40}") {
        let _ = try_bind(json!({ "x": text }), &few()).is_ok();
    }
}

#[rstest]
#[case("{{ tasks.read_rows.result.rows[::-9223372036854775808] }}")]
#[case("a text with {{ tasks.read_rows.result.rows[::-9223372036854775808] }}")]
#[case("{{ tasks.read_rows.result.rows[::-9223372036854775808] | list }}")]
fn a_panic_in_the_library_fails_the_task_only(#[case] text: &str) {
    // Where overflow is not checked there is a value instead; either is an answer.
    let _ = try_bind(json!({ "x": text }), &rows());
}
