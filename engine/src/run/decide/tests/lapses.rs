//! What time decides.

use rstest::rstest;

use super::*;
use crate::approval::{AskState, Audience, OnExpiry, Tell};
use crate::run::TaskKey;

const GATE: Subject = Subject::Gate(TaskKey {
    index: 1,
    item: None,
});
const HOUR: u64 = 3_600_000;

/// After an hour, reminded of ten minutes before; escalated to the managers.
fn policy(on_expiry: OnExpiry, count: u32) -> Policy {
    Policy {
        expires_in_ms: Some(HOUR),
        remind_before_ms: vec![600_000],
        on_expiry,
        escalate_to: Audience {
            groups: vec!["managers".to_owned()],
            ..Audience::default()
        },
        stages: vec![crate::approval::Stage {
            name: "team".to_owned(),
            count,
            approvers: Audience {
                groups: vec!["team".to_owned()],
                ..Audience::default()
            },
        }],
        ..Policy::quorum(1)
    }
}

fn waiting_for(on: Subject, policy: Policy) -> Facts {
    let phase = match on {
        Subject::Run => Phase::Waiting,
        Subject::Gate(_) => Phase::Parked,
    };
    Facts {
        ask: Some(Ask {
            tell: None,
            ..Ask::new(on, &policy, NOW)
        }),
        votes: vec![],
        policy: Some(Arc::new(policy)),
        roles: Roles {
            groups: vec!["team".to_owned()],
            ..Roles::default()
        },
        ..in_phase(phase)
    }
}

fn minutes(minutes: u64) -> Micros {
    NOW.after(Duration::from_secs(60 * minutes))
}

fn lapse(facts: &Facts, now: Micros) -> Result<Change, Refused> {
    let on = facts.ask.as_ref().unwrap().subject;
    decide(facts, &Decision::Lapse { on }, now)
}

fn written(change: &Change) -> Ask {
    match &change.ask {
        AskChange::Write(ask) => ask.clone(),
        other => panic!("the ask is {other:?}"),
    }
}

fn approve_on(on: Subject, who: u128) -> Decision {
    Decision::Approve(Say { on, ..say(who) })
}

#[rstest]
#[case(Subject::Run)]
#[case(GATE)]
fn a_reminder_tells_again_and_nothing_else(#[case] on: Subject) {
    let facts = waiting_for(on, policy(OnExpiry::Reject, 1));
    assert_eq!(lapse(&facts, minutes(49)), Err(Refused::NotDue));
    let change = lapse(&facts, minutes(50)).unwrap();
    let ask = written(&change);
    assert_eq!(
        (ask.state, ask.tell),
        (AskState::Open, Some(Tell::Reminder))
    );
    assert_eq!(
        (ask.wake_at, ask.due_at),
        (Some(minutes(60)), Some(minutes(60)))
    );
    assert_eq!(
        (change.live, change.note.what),
        (facts.live.clone(), What::Remind)
    );
    assert_eq!(change.run, RunChange::of(&facts.run));
    // Looked at late, it is past reminding.
    let late = lapse(&facts, minutes(61)).unwrap();
    assert_eq!(late.note.what, What::Expire);
}

#[test]
fn an_expiry_of_a_plan_rejects_or_approves_as_its_policy_says() {
    let rejected = lapse(
        &waiting_for(Subject::Run, policy(OnExpiry::Reject, 1)),
        minutes(60),
    );
    let rejected = rejected.unwrap();
    assert_eq!((rejected.live, rejected.ask), (None, AskChange::Drop));
    assert_eq!(rejected.run.approval_status, Some(ApprovalStatus::Rejected));
    assert_eq!(rejected.events, ["flow_run.rejected"]);
    let mut facts = waiting_for(Subject::Run, policy(OnExpiry::Approve, 2));
    let approved = lapse(&facts, minutes(60)).unwrap();
    assert_eq!(approved.live.map(|live| live.phase), Some(Phase::Ready));
    assert_eq!(
        (approved.events, approved.vote),
        (vec!["flow_run.approved"], None)
    );
    // Time approves nothing that a person could not.
    facts.code_current = false;
    let rejected = lapse(&facts, minutes(60)).unwrap();
    assert_eq!(rejected.run.approval_status, Some(ApprovalStatus::Rejected));
}

#[rstest]
#[case(OnExpiry::Reject, AskState::Expired)]
#[case(OnExpiry::Approve, AskState::Approved)]
fn an_expiry_of_a_gate_decides_it_and_wakes_its_run(
    #[case] on_expiry: OnExpiry,
    #[case] state: AskState,
) {
    let mut facts = waiting_for(GATE, policy(on_expiry, 1));
    facts.code_current = false;
    let change = lapse(&facts, minutes(60)).unwrap();
    assert_eq!(written(&change).state, state);
    assert!(written(&change).reason.is_some());
    let live = change.live.unwrap();
    assert_eq!((live.phase, live.inbox_seq), (Phase::Ready, 1));
    assert_eq!(change.run, RunChange::of(&facts.run));
}

#[rstest]
#[case(Subject::Run)]
#[case(GATE)]
fn others_may_answer_for_as_long_again_and_then_it_is_rejected(#[case] on: Subject) {
    let mut facts = waiting_for(on, policy(OnExpiry::Escalate, 1));
    facts.roles.groups = vec!["managers".to_owned()];
    let manager = approve_on(on, 1);
    assert!(decide(&facts, &manager, NOW).is_err());
    let change = lapse(&facts, minutes(60)).unwrap();
    let ask = written(&change);
    assert_eq!((ask.escalated, ask.tell), (true, Some(Tell::Escalated)));
    assert_eq!(ask.due_at, Some(minutes(120)));
    assert_eq!(
        (change.live, change.note.what),
        (facts.live.clone(), What::Escalate)
    );
    facts.ask = Some(ask);
    assert!(decide(&facts, &manager, minutes(119)).is_ok());
    assert_eq!(lapse(&facts, minutes(119)).unwrap().note.what, What::Remind);
    let over = lapse(&facts, minutes(120)).unwrap();
    assert_eq!(over.note.what, What::Expire);
    match on {
        Subject::Run => assert_eq!(over.run.approval_status, Some(ApprovalStatus::Rejected)),
        Subject::Gate(_) => assert_eq!(written(&over).state, AskState::Expired),
    }
}

#[rstest]
#[case(Subject::Run)]
#[case(GATE)]
fn an_expiry_keeps_the_votes_that_were_cast(#[case] on: Subject) {
    let mut facts = waiting_for(on, policy(OnExpiry::Escalate, 2));
    let first = decide(&facts, &approve_on(on, 1), NOW).unwrap();
    facts.ask = Some(written(&first));
    facts.votes.extend(first.vote);
    for now in [minutes(50), minutes(60)] {
        let change = lapse(&facts, now).unwrap();
        assert_eq!(change.vote, None);
        facts.ask = Some(written(&change));
    }
    facts.roles.groups = vec!["managers".to_owned()];
    let second = decide(&facts, &approve_on(on, 2), minutes(61)).unwrap();
    assert_eq!(second.note.result, "approved");
}

#[rstest]
#[case(Subject::Run)]
#[case(GATE)]
fn an_expiry_after_a_decision_changes_nothing(#[case] on: Subject) {
    for on_expiry in [OnExpiry::Reject, OnExpiry::Escalate, OnExpiry::Approve] {
        let open = waiting_for(on, policy(on_expiry, 1));
        let on_live = |phase| Facts {
            live: Some(live(phase)),
            ..open.clone()
        };
        let mut decided = vec![
            Facts {
                live: None,
                ..open.clone()
            },
            on_live(Phase::Closing),
        ];
        for state in [AskState::Approved, AskState::Rejected, AskState::Expired] {
            let ask = open.ask.as_ref().map(|ask| ask.decided(state, "…"));
            decided.push(Facts {
                ask,
                ..open.clone()
            });
        }
        if on == Subject::Run {
            let phases = [Phase::Ready, Phase::Running, Phase::Parked, Phase::Paused];
            decided.extend(phases.map(on_live));
        }
        for mut facts in decided {
            let late = decide(&facts, &Decision::Lapse { on }, minutes(60));
            assert_eq!(late, Err(Refused::NotDue), "{facts:?}");
            facts.ask = None;
            let late = decide(&facts, &Decision::Lapse { on }, minutes(60));
            assert_eq!(late, Err(Refused::NotDue));
        }
    }
}

#[rstest]
#[case(Subject::Run)]
#[case(GATE)]
fn an_answer_after_its_time_is_refused_and_noted(#[case] on: Subject) {
    for on_expiry in [OnExpiry::Reject, OnExpiry::Escalate, OnExpiry::Approve] {
        // Nobody has looked at the expiry yet.
        let facts = waiting_for(on, policy(on_expiry, 1));
        let say = Say { on, ..say(1) };
        for decision in [Decision::Approve(say.clone()), Decision::Reject(say)] {
            assert!(decide(&facts, &decision, Micros(minutes(60).0 - 1)).is_ok());
            let why = decide(&facts, &decision, minutes(60)).unwrap_err();
            assert!(matches!(why, Refused::Late(_)), "{why:?}");
            let note = Note::refused(&facts, &decision, &why).unwrap();
            assert_eq!(
                (note.what, note.stage.as_deref()),
                (What::Refused, Some("team"))
            );
            assert!(note.result.starts_with("too late: "), "{}", note.result);
        }
    }
}

#[test]
fn an_answer_to_a_gate_that_expired_is_late_and_the_same_word_again_is_not() {
    let mut facts = waiting_for(GATE, policy(OnExpiry::Reject, 2));
    let first = decide(&facts, &approve_on(GATE, 1), NOW).unwrap();
    facts.votes.extend(first.vote);
    let again = decide(&facts, &approve_on(GATE, 1), minutes(60));
    assert_eq!(again, Err(Refused::AlreadySo));
    facts.ask = facts.ask.map(|ask| ask.decided(AskState::Expired, "…"));
    for who in [1, 2] {
        let late = decide(&facts, &approve_on(GATE, who), minutes(61));
        assert!(matches!(late, Err(Refused::Late(_))), "{late:?}");
    }
}
