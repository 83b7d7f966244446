//! The small parts of binding, by themselves.

use rstest::rstest;

use super::environment::{ENVIRONMENT, FILTERS, FUNCTIONS, SCALAR, TESTS};
use super::guard::guarded;
use super::keys::{Keys, Named};
use super::lex::{Token, words};
use super::template::{Piece, split, whole};

/// What the environment holds besides what is listed shows in its debug form; an update of the library
/// that brings more fails here.
#[test]
fn nothing_but_what_is_listed_can_be_called() {
    let sorted = |names: &[&str]| {
        let mut names: Vec<String> = names.iter().map(|name| format!("{name:?}")).collect();
        names.sort_unstable();
        names.join(", ")
    };
    let held = format!("{:?}", *ENVIRONMENT);
    let filters = sorted(&[&FILTERS[..], &[SCALAR]].concat());
    // By name only, not as words after `is`.
    let operators = ["!=", "<", "<=", "==", ">", ">="];
    let tests = sorted(&[&TESTS[..], &operators].concat());
    assert!(held.contains(&format!("filters: [{filters}]")), "{held}");
    assert!(held.contains(&format!("tests: [{tests}]")), "{held}");
    let globals: Vec<&str> = ENVIRONMENT.globals().map(|(name, _)| name).collect();
    assert_eq!(globals, FUNCTIONS);
}

#[rstest]
#[case("a * b", "a|_scalar * b|_scalar")]
#[case("a+b", "a+b")]
#[case("a.b[0] * f(x)", "a.b[0]|_scalar * f(x)|_scalar")]
#[case("a * b * c", "a|_scalar * b|_scalar * c|_scalar")]
#[case("x / a * b + c", "x / a|_scalar * b|_scalar + c")]
#[case("a * -b", "a|_scalar * -b|_scalar")]
#[case("-a * b", "-a|_scalar * b|_scalar")]
#[case("a ** b * c", "a ** b|_scalar * c|_scalar")]
#[case("a * b ** c", "a|_scalar * b|_scalar ** c")]
#[case("[a * b, c]", "[a|_scalar * b|_scalar, c]")]
#[case("(a) * [b * c]", "(a)|_scalar * [b|_scalar * c|_scalar]|_scalar")]
#[case("f(*a)", "f(*a)")]
#[case("f(x, *a) * b", "f(x, *a)|_scalar * b|_scalar")]
#[case("f(**a) * 2", "f(**a)|_scalar * 2|_scalar")]
#[case(
    "a * b if c else d * e",
    "a|_scalar * b|_scalar if c else d|_scalar * e|_scalar"
)]
#[case("not a * b", "not a|_scalar * b|_scalar")]
#[case("a * b not in c", "a|_scalar * b|_scalar not in c")]
#[case(
    "a * b is not defined and c",
    "a|_scalar * b is not defined|_scalar and c"
)]
#[case("a is not in c * b", "a is not in c|_scalar * b|_scalar")]
#[case("x.in * y.if", "x.in|_scalar * y.if|_scalar")]
#[case("a | map('x') * 3", "a | map('x')|_scalar * 3|_scalar")]
#[case("'*' * 3 ~ '*'", "'*'|_scalar * 3|_scalar ~ '*'")]
#[case("{'a': b * c}", "{'a': b|_scalar * c|_scalar}")]
#[case(
    "true * a == b * none",
    "true|_scalar * a|_scalar == b|_scalar * none|_scalar"
)]
#[case("a[b * c:d]", "a[b|_scalar * c|_scalar:d]")]
fn operands_of_a_multiplication_are_guarded(#[case] source: &str, #[case] guard: &str) {
    let words: Vec<_> = words(source).collect();
    assert_eq!(guarded(source, &words), guard);
}

#[test]
fn words_end_where_they_end() {
    let source = " a1.b ['x\\'y']>= 1_0e5~é";
    let found: Vec<(Token<'_>, &str)> = words(source)
        .map(|word| (word.token, &source[..word.end]))
        .collect();
    let tokens: Vec<Token<'_>> = found.iter().map(|(token, _)| *token).collect();
    let sign = |sign: &str| Token::Sign(sign.as_bytes()[0]);
    assert_eq!(
        tokens,
        [
            Token::Name("a1"),
            sign("."),
            Token::Name("b"),
            sign("["),
            Token::Text("x\\'y"),
            sign("]"),
            Token::Operator(">="),
            Token::Number,
            sign("~"),
            sign("é"),
        ]
    );
    assert_eq!(found.last().map(|(_, all)| *all), Some(source));
}

#[rstest]
#[case("plain", &[Piece::Text("plain")])]
#[case("", &[])]
#[case("{{a}}", &[Piece::Expression("a")])]
#[case("a {{ b }} c", &[Piece::Text("a "), Piece::Expression(" b "), Piece::Text(" c")])]
#[case("a {{- b -}} c", &[Piece::Text("a"), Piece::Expression(" b "), Piece::Text("c")])]
#[case("{{ '}}' }}{{ \"\\\"}}\" }}", &[Piece::Expression(" '}}' "), Piece::Expression(" \"\\\"}}\" ")])]
#[case("{{ {'a': {}} }}}}", &[Piece::Expression(" {'a': {}} "), Piece::Text("}}")])]
#[case("{ {a} }", &[Piece::Text("{ {a} }")])]
fn a_string_is_split_into_pieces(#[case] source: &str, #[case] pieces: &[Piece<'_>]) {
    assert_eq!(split(source).as_deref(), Ok(pieces));
}

#[rstest]
#[case("{{ a }}", Some(" a "))]
#[case("  {{ a }}\n", Some(" a "))]
#[case("a", None)]
#[case("{{ a }} {{ b }}", None)]
#[case("{{ a", None)]
fn a_whole_expression_is_told_from_text(#[case] source: &str, #[case] inner: Option<&str>) {
    assert_eq!(whole(source), inner);
}

#[test]
fn a_key_is_the_name_in_lower_case_with_underscores() {
    let keys = Keys::of(["Read commits", "Größe (cm)", "read-commits", "2nd"].into_iter());
    assert!(matches!(keys.get("gr__e__cm_"), Some(Named::One(1))));
    assert!(matches!(keys.get("2nd"), Some(Named::One(3))));
    assert!(matches!(keys.get("read_commits"), Some(Named::Several)));
    assert!(keys.get("Read commits").is_none());
}
