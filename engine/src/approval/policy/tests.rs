use rstest::rstest;

use super::*;

fn audience(words: &[&str]) -> Audience {
    let words: Vec<String> = words.iter().map(ToString::to_string).collect();
    Audience::parse(&words).unwrap()
}

#[test]
fn an_audience_is_read_in_lower_case_sorted_and_once() {
    let read = audience(&[
        "group:ops",
        " Eve@Example.com ",
        "permission: deploy",
        "eve@example.com",
        "adam@example.com",
        "group:dev",
    ]);
    let words = [
        "adam@example.com",
        "eve@example.com",
        "group:dev",
        "group:ops",
        "permission:deploy",
    ];
    assert_eq!(read.words(), words);
    assert_eq!(audience(&words), read);
    assert_eq!(audience(&words).hash(), read.hash());
    assert_ne!(audience(&words[1..]).hash(), read.hash());
}

/// A mistyped kind would be an e-mail that nobody has: nobody could ever approve.
#[rstest]
#[case("")]
#[case("  ")]
#[case("finance")]
#[case("group:")]
#[case("permission: ")]
#[case(":finance")]
#[case("grup:finance")]
#[case("user:eve@example.com")]
#[case("Group:finance")]
fn what_names_nobody_is_refused(#[case] word: &str) {
    let words = ["eve@example.com".to_owned(), word.to_owned()];
    assert_eq!(Audience::parse(&words), Err(vec![1]));
}

#[rstest]
#[case::the_same(&["group:dev"], &["group:dev"], true)]
#[case::fewer(&["group:dev"], &["group:dev", "group:ops"], true)]
#[case::more(&["group:dev", "group:ops"], &["group:dev"], false)]
#[case::others(&["group:ops"], &["group:dev"], false)]
#[case::another_kind(&["permission:dev"], &["group:dev"], false)]
#[case::anyone_among_some(&[], &["group:dev"], false)]
#[case::some_among_anyone(&["group:dev"], &[], true)]
#[case::anyone(&[], &[], true)]
fn an_audience_is_within_another_only_if_that_is_sure(
    #[case] these: &[&str],
    #[case] others: &[&str],
    #[case] within: bool,
) {
    assert_eq!(audience(these).within(&audience(others)), within);
}

#[test]
fn joined_they_are_all_of_both_and_anyone_stays_anyone() {
    let (dev, both) = (audience(&["group:dev"]), ["eve@example.com", "group:dev"]);
    assert_eq!(dev.joined(&audience(&["eve@example.com"])).words(), both);
    assert!(dev.joined(&Audience::default()).is_anyone());
    assert!(Audience::default().joined(&dev).is_anyone());
}

#[test]
fn a_gate_is_asked_of_anyone_under_the_rules_of_the_floor() {
    let floor = Policy {
        mode: Mode::None,
        distinct_from_requester: true,
        expires_in_ms: Some(1_000),
        ..Policy::quorum(3)
    };
    let gates = floor.of_gates();
    assert_eq!((gates.mode, gates.stages[0].count), (Mode::Required, 1));
    assert!(gates.distinct_from_requester);
    assert_eq!(gates.expires_in_ms, Some(1_000));
}
