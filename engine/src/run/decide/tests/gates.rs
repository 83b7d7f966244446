//! Answers to gates.

use rstest::rstest;

use super::*;
use crate::approval::AskState;
use crate::run::TaskKey;

fn on(index: u32) -> Subject {
    Subject::Gate(TaskKey { index, item: None })
}

/// The gate of task 1, asked about, in a run whose live row is in `phase`.
fn gated(phase: Phase, policy: Policy) -> Facts {
    Facts {
        ask: Some(Ask::new(on(1), &policy, NOW)),
        votes: vec![],
        policy: Some(Arc::new(policy)),
        ..in_phase(phase)
    }
}

fn say_on(who: u128, index: u32, answer: Option<&str>) -> Say {
    Say {
        on: on(index),
        answer: answer.map(|answer| Json::of(&answer)),
        ..say(who)
    }
}

fn approve_gate(who: u128) -> Decision {
    Decision::Approve(say_on(who, 1, Some("yes")))
}

fn reject_gate(who: u128) -> Decision {
    Decision::Reject(say_on(who, 1, None))
}

fn written(change: &Change) -> Ask {
    match &change.ask {
        AskChange::Write(ask) => ask.clone(),
        other => panic!("the ask is {other:?}"),
    }
}

#[rstest]
#[case::held(Phase::Running, Phase::Running, true, &[])]
#[case::held_by_nobody(Phase::Ready, Phase::Ready, false, &[])]
#[case::parked(Phase::Parked, Phase::Ready, false, &["flow_run.resumed"])]
#[case::paused(Phase::Paused, Phase::Paused, false, &[])]
fn whoever_holds_the_run_of_a_decided_gate_looks_again_and_a_parked_one_goes_on(
    #[case] phase: Phase,
    #[case] after: Phase,
    #[case] poke: bool,
    #[case] events: &[&str],
) {
    for (decision, state) in [
        (approve_gate(1), AskState::Approved),
        (reject_gate(1), AskState::Rejected),
    ] {
        let mut facts = gated(phase, Policy::quorum(1));
        facts.live.as_mut().unwrap().wake_at = Some(Micros(9));
        let change = decide(&facts, &decision, NOW).unwrap();
        let ask = written(&change);
        assert_eq!((ask.state, ask.wake_at), (state, None));
        let live = change.live.clone().unwrap();
        assert_eq!((live.phase, live.inbox_seq), (after, 1));
        assert_eq!(live.wake_at.is_none(), phase == Phase::Parked);
        assert_eq!((change.poke, &*change.events), (poke, events));
        // The run itself is not decided about.
        assert_eq!(change.run, RunChange::of(&facts.run));
        assert_eq!(change.body, None);
    }
}

#[test]
fn below_the_quorum_a_gate_stays_open_and_nobody_is_woken() {
    let mut facts = gated(Phase::Parked, Policy::quorum(2));
    let change = decide(&facts, &approve_gate(1), NOW).unwrap();
    let ask = written(&change);
    assert_eq!(
        (ask.state, ask.answer.clone()),
        (AskState::Open, Some(Json::of(&"yes")))
    );
    assert_eq!(change.live, facts.live);
    assert!(!change.poke && change.events.is_empty());
    facts.votes.extend(change.vote);
    facts.ask = Some(ask);
    assert_eq!(
        decide(&facts, &approve_gate(1), NOW),
        Err(Refused::AlreadySo)
    );
    // What was filled in stands unless it is filled in anew.
    let second = |answer| Decision::Approve(say_on(2, 1, answer));
    for (answer, stands) in [(None, "yes"), (Some("no"), "no")] {
        let ask = written(&decide(&facts, &second(answer), NOW).unwrap());
        assert_eq!(
            (ask.state, ask.answer),
            (AskState::Approved, Some(Json::of(&stands)))
        );
        assert_eq!(ask.reason.as_deref(), Some("approved by 2@example.com"));
    }
}

#[test]
fn gates_in_parallel_branches_are_decided_one_by_one() {
    let first = gated(Phase::Running, Policy::quorum(1));
    let change = decide(&first, &approve_gate(1), NOW).unwrap();
    assert_eq!(written(&change).subject, on(1));
    // The same person on the other gate: neither said already, nor decided along with the first.
    let second = Facts {
        live: change.live,
        ask: Some(Ask::new(on(2), &Policy::quorum(1), NOW)),
        ..gated(Phase::Running, Policy::quorum(1))
    };
    let change = decide(&second, &Decision::Reject(say_on(1, 2, None)), NOW).unwrap();
    let ask = written(&change);
    assert_eq!((ask.subject, ask.state), (on(2), AskState::Rejected));
    assert_eq!(change.live.map(|live| live.inbox_seq), Some(2));
}

#[test]
fn what_was_said_about_a_gate_stays_said() {
    let mut facts = gated(Phase::Running, Policy::quorum(1));
    facts.ask = facts.ask.map(|ask| ask.decided(AskState::Approved, "…"));
    facts.votes = vec![vote(1, VoteKind::Approve)];
    assert_eq!(
        decide(&facts, &approve_gate(1), NOW),
        Err(Refused::AlreadySo)
    );
    for decision in [approve_gate(2), reject_gate(1), reject_gate(2)] {
        let refused = decide(&facts, &decision, NOW);
        let conflict = "The gate was already approved".to_owned();
        assert_eq!(refused, Err(Refused::Conflict(conflict)));
    }
    facts.ask = facts.ask.map(|ask| ask.decided(AskState::Rejected, "…"));
    facts.votes = vec![vote(1, VoteKind::Reject)];
    assert_eq!(
        decide(&facts, &reject_gate(1), NOW),
        Err(Refused::AlreadySo)
    );
    assert!(matches!(
        decide(&facts, &approve_gate(1), NOW),
        Err(Refused::Conflict(_))
    ));
}

#[test]
fn a_gate_that_is_not_open_cannot_be_answered() {
    let gate = || gated(Phase::Running, Policy::quorum(1));
    let no_gate = Facts {
        policy: None,
        ..gate()
    };
    let not_reached = Facts {
        ask: None,
        ..gate()
    };
    let over = Facts {
        live: None,
        ..not_reached.clone()
    };
    let conflict = |what: &str| Refused::Conflict(what.to_owned());
    for (facts, why) in [
        (no_gate, Refused::NoGate),
        (not_reached, conflict("The gate was not reached yet")),
        (over, conflict("The flow run is over")),
        (
            gated(Phase::Closing, Policy::quorum(1)),
            conflict("The flow run is over"),
        ),
    ] {
        for decision in [approve_gate(1), reject_gate(1)] {
            assert_eq!(decide(&facts, &decision, NOW), Err(why.clone()));
        }
    }
    let stale = Decision::Approve(Say {
        plan_hash: Some(hash("other")),
        ..say_on(1, 1, None)
    });
    assert_eq!(decide(&gate(), &stale, NOW), Err(Refused::StalePlan));
}

#[test]
fn a_gate_asks_nothing_of_code_that_runs_already() {
    let facts = Facts {
        code_current: false,
        ..gated(Phase::Running, Policy::quorum(1))
    };
    assert!(decide(&facts, &approve_gate(1), NOW).is_ok());
}

#[test]
fn separation_holds_at_gates_too() {
    let policy = Policy {
        distinct_from_requester: true,
        distinct_from_author: true,
        ..Policy::quorum(1)
    };
    let facts = gated(Phase::Running, policy);
    for (who, why) in [(9, Denied::Requester), (8, Denied::Author)] {
        let refused = decide(&facts, &approve_gate(who), NOW);
        assert_eq!(refused, Err(Refused::Denied(why)));
    }
    assert!(decide(&facts, &approve_gate(1), NOW).is_ok());
}
