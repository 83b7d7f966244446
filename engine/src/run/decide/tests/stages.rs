//! Votes on a plan whose policy has stages.

use rstest::rstest;

use super::*;
use crate::approval::{Audience, Mode, Principal, Stage, Tell};

/// `team`, two of 1 to 4, and then `security`, one of 3 to 6.
fn policy() -> Policy {
    let stage = |name: &str, count, who: [u128; 4]| Stage {
        name: name.to_owned(),
        count,
        approvers: Audience {
            users: who.map(|who| actor(who).email).into(),
            ..Audience::default()
        },
    };
    Policy {
        stages: vec![
            stage("team", 2, [1, 2, 3, 4]),
            stage("security", 1, [3, 4, 5, 6]),
        ],
        ..Policy::quorum(1)
    }
}

/// A run that waits under `policy`, after approvals by these people in these stages.
fn after(policy: Policy, votes: &[(u32, u128)]) -> Facts {
    let stage = votes.iter().map(|(stage, _)| *stage).max().unwrap_or(0);
    let votes: Vec<Vote> = votes
        .iter()
        .map(|(stage, who)| Vote {
            stage: *stage,
            ..vote(*who, VoteKind::Approve)
        })
        .collect();
    let full = crate::approval::tally(&policy, &votes).stage as u32;
    Facts {
        votes,
        ask: Some(Ask {
            stage: full.max(stage),
            tell: None,
            ..Ask::new(Subject::Run, &policy, NOW)
        }),
        policy: Some(Arc::new(policy)),
        ..in_phase(Phase::Waiting)
    }
}

fn in_stage(who: u128, stage: &str) -> Say {
    Say {
        stage: Some(stage.to_owned()),
        ..say(who)
    }
}

fn written(change: &Change) -> &Ask {
    match &change.ask {
        AskChange::Write(ask) => ask,
        other => panic!("the ask is {other:?}"),
    }
}

#[test]
fn the_last_vote_of_a_stage_has_the_next_one_asked() {
    let later = Micros(NOW.0 + 5);
    let first = decide(&after(policy(), &[]), &approve(1), later).unwrap();
    assert_eq!(first.note.result, "1 of 2 in stage team");
    let ask = written(&first);
    assert_eq!((ask.stage, ask.asked_at, ask.tell), (0, NOW, None));
    let second = decide(&after(policy(), &[(0, 1)]), &approve(2), later).unwrap();
    assert_eq!(
        second.note.result,
        "2 of 2 in stage team; stage security is asked"
    );
    let ask = written(&second);
    let asked = (ask.stage, ask.asked_at, ask.tell);
    assert_eq!(asked, (1, later, Some(Tell::Requested)));
    assert_eq!(second.live.map(|live| live.phase), Some(Phase::Waiting));
    let third = decide(&after(policy(), &[(0, 1), (0, 2)]), &approve(5), later).unwrap();
    assert_eq!(third.note.result, "approved");
    assert_eq!(third.note.stage.as_deref(), Some("security"));
    assert_eq!(third.vote.map(|vote| vote.stage), Some(1));
    assert_eq!(
        (third.ask, third.events),
        (AskChange::Drop, vec!["flow_run.approved"])
    );
}

#[rstest]
#[case::who_may_approve_once(true)]
#[case::who_may_approve_again(false)]
fn a_repeated_approval_does_not_decide_the_next_stage(#[case] distinct_approvers: bool) {
    let policy = Policy {
        distinct_approvers,
        ..policy()
    };
    // The second click of the vote that filled the first stage, sent twice or late.
    let facts = after(policy, &[(0, 1), (0, 3)]);
    for again in [say(3), in_stage(3, "team")] {
        let again = decide(&facts, &Decision::Approve(again), NOW);
        assert_eq!(again, Err(Refused::AlreadySo));
    }
    let meant = decide(&facts, &Decision::Approve(in_stage(3, "security")), NOW);
    match distinct_approvers {
        true => assert!(matches!(
            meant,
            Err(Refused::Denied(Denied::ApprovedBefore(_)))
        )),
        false => assert_eq!(
            meant.unwrap().run.approval_status,
            Some(ApprovalStatus::Approved)
        ),
    }
}

#[rstest]
#[case::decided(&[(0, 1), (0, 2)], 4, "team", "The stage `team` is decided")]
#[case::unknown(&[], 1, "legal", "There is no stage `legal`")]
#[case::unknown_and_voted(&[(0, 1)], 1, "legal", "There is no stage `legal`")]
fn a_vote_for_a_stage_that_is_not_asked_is_a_conflict(
    #[case] votes: &[(u32, u128)],
    #[case] who: u128,
    #[case] stage: &str,
    #[case] conflict: &str,
) {
    let refused = decide(
        &after(policy(), votes),
        &Decision::Approve(in_stage(who, stage)),
        NOW,
    );
    assert_eq!(refused, Err(Refused::Conflict(conflict.to_owned())));
}

#[test]
fn a_vote_for_a_stage_that_comes_later_is_too_early() {
    let facts = after(policy(), &[]);
    let refused = decide(&facts, &Decision::Approve(in_stage(5, "security")), NOW);
    let Err(Refused::Denied(Denied::NotYet { asked, current })) = refused else {
        panic!("{refused:?}");
    };
    assert_eq!((&*asked, &*current), ("security", "team"));
}

#[test]
fn one_veto_of_any_stage_rejects_whatever_was_approved() {
    for who in [1, 6] {
        let facts = after(policy(), &[(0, 1)]);
        let change = decide(&facts, &reject(who), NOW).unwrap();
        assert_eq!(change.live, None);
        assert_eq!(change.run.approval_status, Some(ApprovalStatus::Rejected));
        assert_eq!(change.vote.map(|vote| vote.kind), Some(VoteKind::Reject));
        assert_eq!(change.ask, AskChange::Drop);
    }
    let unknown = Decision::Reject(in_stage(1, "legal"));
    assert!(matches!(
        decide(&after(policy(), &[]), &unknown, NOW),
        Err(Refused::Conflict(_))
    ));
}

#[test]
fn the_requester_may_withdraw_by_a_rejection_and_not_approve() {
    let own = Policy {
        distinct_from_requester: true,
        ..Policy::quorum(1)
    };
    let facts = after(own, &[]);
    assert_eq!(
        decide(&facts, &approve(9), NOW),
        Err(Refused::Denied(Denied::Requester))
    );
    assert!(decide(&facts, &reject(9), NOW).is_ok());
}

#[test]
fn a_vote_in_somebodys_place_says_whose() {
    let mut facts = after(policy(), &[(0, 2)]);
    facts.roles.stands_in_for.push(Principal {
        user: None,
        email: actor(1).email,
        groups: vec![],
    });
    let change = decide(&facts, &approve(7), NOW).unwrap();
    let place = Some(actor(1).email);
    assert_eq!(change.note.stands_in_for, place);
    assert_eq!(change.vote.clone().unwrap().stands_in_for, place);
    // Whom it was cast for has no second one.
    facts.votes.extend(change.vote);
    facts.ask.as_mut().unwrap().stage = 1;
    let own = decide(&facts, &Decision::Approve(in_stage(1, "team")), NOW);
    assert!(own.is_err());
}

#[test]
fn a_reason_is_given_where_the_policy_asks_for_one() {
    let reasoned = Policy {
        reason_required: true,
        ..Policy::quorum(1)
    };
    let facts = after(reasoned, &[]);
    let with = |comment: Option<&str>| Say {
        comment: comment.map(str::to_owned),
        ..say(1)
    };
    for missing in [None, Some(""), Some("  \n")] {
        for decision in [
            Decision::Approve(with(missing)),
            Decision::Reject(with(missing)),
        ] {
            assert_eq!(decide(&facts, &decision, NOW), Err(Refused::ReasonRequired));
        }
    }
    let change = decide(&facts, &Decision::Reject(with(Some("Not now"))), NOW).unwrap();
    assert_eq!(change.note.comment.as_deref(), Some("Not now"));
    let reason = change.run.reason.unwrap();
    assert_eq!(&*reason, "rejected by 1@example.com: Not now");
}

#[test]
fn a_change_of_mind_is_a_veto() {
    let facts = after(policy(), &[(0, 1)]);
    assert!(decide(&facts, &reject(1), NOW).is_ok());
}

#[test]
fn nobody_is_asked_only_where_the_policy_says_so() {
    let start = |why| Decision::Start {
        actor: actor(9),
        why,
    };
    let standing = || Beforehand::Standing {
        id: Uuid::from_u128(5),
        by: "1@example.com".to_owned(),
    };
    let nobody = Policy {
        mode: Mode::None,
        ..Policy::quorum(1)
    };
    let beforehand = Policy {
        standing: true,
        ..Policy::quorum(1)
    };
    for (policy, why, starts) in [
        (nobody.clone(), Beforehand::Policy, true),
        (beforehand.clone(), standing(), true),
        (beforehand, Beforehand::Policy, false),
        (Policy::quorum(1), Beforehand::Policy, false),
        (Policy::quorum(1), standing(), false),
    ] {
        let started = decide(&after(policy, &[]), &start(why), NOW);
        assert_eq!(started.is_ok(), starts, "{started:?}");
        if let Ok(change) = started {
            assert_eq!(change.live.map(|live| live.phase), Some(Phase::Ready));
            assert_eq!((change.ask, change.vote), (AskChange::Drop, None));
        }
    }
    let started = in_phase(Phase::Ready);
    let started = Facts {
        policy: Some(Arc::new(nobody)),
        ..started
    };
    assert!(decide(&started, &start(Beforehand::Policy), NOW).is_err());
}

#[test]
fn who_tried_and_was_not_let_is_noted() {
    let facts = after(policy(), &[]);
    let tried = |decision: &Decision| {
        let why = decide(&facts, decision, NOW).unwrap_err();
        Note::refused(&facts, decision, &why)
    };
    let note = tried(&approve(7)).unwrap();
    assert_eq!(
        (note.what, note.stage.as_deref()),
        (What::Refused, Some("team"))
    );
    assert_eq!(
        note.result,
        "refused: you are no approver of the stage `team`"
    );
    // Nobody learns anything from these.
    let stale = Decision::Approve(Say {
        plan_hash: Some(hash("other")),
        ..say(1)
    });
    assert_eq!(tried(&stale), None);
    assert_eq!(tried(&Decision::Approve(in_stage(1, "legal"))), None);
    assert_eq!(tried(&Decision::Lapse { on: Subject::Run }), None);
}
