use rstest::rstest;

use super::super::{OnExpiry, Stage};
use super::*;
use crate::Json;

const SECOND: i64 = 1_000_000;
const NOW: Micros = Micros(100 * SECOND);

/// Expires after a minute.
fn policy(remind_before: &[u64]) -> Policy {
    Policy {
        expires_in_ms: Some(60_000),
        remind_before_ms: remind_before.iter().map(|before| before * 1_000).collect(),
        on_expiry: OnExpiry::Escalate,
        ..Policy::quorum(1)
    }
}

fn at(seconds: i64) -> Micros {
    Micros(NOW.0 + seconds * SECOND)
}

#[rstest]
#[case::no_reminder(&[], 0, 60)]
#[case::the_earliest_first(&[30, 10], 0, 30)]
#[case::whatever_their_order(&[10, 30], 0, 30)]
#[case::the_next_one(&[30, 10], 30, 50)]
#[case::the_expiry_after_the_last(&[30, 10], 50, 60)]
#[case::missed_ones_are_passed_over(&[30, 10], 55, 60)]
#[case::one_before_the_asking_is_none(&[90, 10], 0, 50)]
#[case::one_at_the_asking_is_none(&[60], 0, 60)]
#[case::one_at_the_expiry_is_the_expiry(&[0], 0, 60)]
#[case::after_the_expiry_it_is_still_due(&[30], 90, 60)]
fn it_is_looked_at_again_at_the_next_reminder_or_the_expiry(
    #[case] remind_before: &[u64],
    #[case] now: i64,
    #[case] next: i64,
) {
    let policy = policy(remind_before);
    let ask = Ask::new(Subject::Run, &policy, NOW).reminded(&policy, at(now));
    assert_eq!(ask.wake_at, Some(at(next)));
    assert_eq!((ask.asked_at, ask.due_at), (NOW, Some(at(60))));
}

#[test]
fn without_a_limit_it_stays_open_for_good() {
    let reminding = Policy {
        remind_before_ms: vec![1_000],
        ..Policy::quorum(1)
    };
    let ask = Ask::new(Subject::Run, &reminding, NOW);
    assert_eq!((ask.due_at, ask.wake_at), (None, None));
    assert!(!ask.is_over(Micros(i64::MAX)));
}

#[test]
fn limits_beyond_all_time_do_not_overflow() {
    let policy = Policy {
        expires_in_ms: Some(u64::MAX),
        remind_before_ms: vec![u64::MAX],
        ..Policy::quorum(1)
    };
    let ask = Ask::new(Subject::Run, &policy, NOW);
    assert_eq!(ask.wake_at, Some(Micros(i64::MAX)));
}

#[test]
fn an_answer_counts_until_its_time_and_not_at_it() {
    let ask = Ask::new(Subject::Run, &policy(&[]), NOW);
    assert!(!ask.is_over(Micros(at(60).0 - 1)));
    assert!(ask.is_over(at(60)));
}

#[test]
fn escalated_it_is_open_for_as_long_again_and_keeps_what_was_filled_in() {
    let policy = Policy {
        stages: vec![
            Policy::quorum(1).stages.remove(0),
            Stage {
                name: "second".to_owned(),
                count: 1,
                approvers: Audience {
                    groups: vec!["dev".to_owned()],
                    ..Audience::default()
                },
            },
        ],
        escalate_to: Audience {
            groups: vec!["managers".to_owned()],
            ..Audience::default()
        },
        ..policy(&[10])
    };
    let ask = Ask {
        stage: 1,
        answer: Some(Json::of(&"by the first")),
        ..Ask::new(Subject::Run, &policy, NOW)
    };
    assert_eq!(ask.audience(&policy).words(), ["group:dev"]);
    let again = ask.escalated(&policy, at(90));
    assert_eq!((again.state, again.stage), (AskState::Open, 1));
    assert_eq!(
        (again.due_at, again.wake_at),
        (Some(at(150)), Some(at(140)))
    );
    assert_eq!(again.answer, ask.answer);
    assert_eq!(
        again.audience(&policy).words(),
        ["group:dev", "group:managers"]
    );
}

#[test]
fn decided_nobody_is_asked_any_more() {
    let ask = Ask::new(Subject::Run, &policy(&[10]), NOW).decided(AskState::Expired, "in vain");
    assert_eq!((ask.wake_at, ask.tell), (None, None));
    assert_eq!(ask.reason.as_deref(), Some("in vain"));
}

#[test]
fn one_who_may_not_answer_is_named_as_the_policy_has_it() {
    let party = |email: &str| super::super::Party {
        user: None,
        email: email.to_owned(),
    };
    let origin = Origin {
        requester: party("Eve@example.com"),
        author: Some(party("Adam@example.com")),
    };
    let asked = |requester, author| {
        let policy = Policy {
            distinct_from_requester: requester,
            distinct_from_author: author,
            ..Policy::quorum(1)
        };
        let asked = Asked::new(Subject::Run, "", &policy, &origin, NOW);
        (asked.requester, asked.author)
    };
    assert_eq!(asked(false, false), (None, None));
    let (requester, author) = asked(true, true);
    assert_eq!(requester.as_deref(), Some("eve@example.com"));
    assert_eq!(author.as_deref(), Some("adam@example.com"));
}

#[test]
fn words_of_the_database_are_read_back() {
    for state in [
        AskState::Open,
        AskState::Approved,
        AskState::Rejected,
        AskState::Expired,
    ] {
        assert_eq!(state.as_str().parse::<AskState>().unwrap(), state);
    }
    for tell in [Tell::Requested, Tell::Reminder, Tell::Escalated] {
        assert_eq!(tell.as_str().parse::<Tell>().unwrap(), tell);
    }
    assert!("maybe".parse::<AskState>().is_err());
}
