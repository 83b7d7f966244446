mod gates;
mod lapses;
mod resubmit;
mod stages;

use uuid::Uuid;

use super::super::{Intent, Phase, VoteKind};
use super::*;
use crate::approval::Party;
use crate::ids::{FlowId, OrganizationId, RunId, WorkerId};

const NOW: Micros = Micros(1_000_000);

fn hash(of: &str) -> Hash {
    Hash::of(of.as_bytes())
}

fn actor(name: u128) -> Actor {
    Actor {
        user: UserId(Uuid::from_u128(name)),
        email: format!("{name}@example.com"),
        permissions: vec!["approve".to_owned()],
        way: "rest",
    }
}

fn live(phase: Phase) -> LiveRun {
    LiveRun {
        run: RunId(Uuid::from_u128(1)),
        organization: OrganizationId(Uuid::from_u128(2)),
        flow: FlowId(Uuid::from_u128(3)),
        phase,
        intent: None,
        owner: (phase == Phase::Running).then(|| WorkerId(Uuid::from_u128(4))),
        claim: None,
        epoch: i64::from(!matches!(phase, Phase::Waiting | Phase::Ready)),
        claims: 0,
        inbox_seq: 0,
        wake_at: None,
        ready_at: None,
        deadline_at: None,
        priority: 0,
        plan_hash: hash("plan"),
        approved_hash: (phase != Phase::Waiting).then(|| hash("plan")),
        plan_v: 2,
    }
}

/// A run whose live row is in `phase`, approved by person 1 unless it waits.
fn in_phase(phase: Phase) -> Facts {
    let waiting = phase == Phase::Waiting;
    Facts {
        live: Some(live(phase)),
        run: Final {
            status: match phase {
                Phase::Waiting => RunStatus::Pending,
                Phase::Closing => RunStatus::Cancelled,
                _ => RunStatus::InProgress,
            },
            approval_status: (!waiting).then_some(ApprovalStatus::Approved),
            plan_hash: hash("plan"),
            approved_hash: (!waiting).then(|| hash("plan")),
            epoch: 1,
            round: 1,
        },
        votes: if waiting {
            vec![]
        } else {
            vec![vote(1, VoteKind::Approve)]
        },
        ask: waiting.then(|| Ask::new(Subject::Run, &Policy::quorum(1), NOW)),
        policy: Some(Arc::new(Policy::quorum(1))),
        origin: Some(Arc::new(Origin {
            requester: party(9),
            author: Some(party(8)),
        })),
        roles: Roles::default(),
        code_current: true,
        timeout: None,
        fresh: live(Phase::Ready),
    }
}

fn ended(status: RunStatus) -> Facts {
    let mut facts = in_phase(Phase::Running);
    facts.live = None;
    facts.run.status = status;
    facts
}

fn vote(who: u128, kind: VoteKind) -> Vote {
    Vote {
        approver: UserId(Uuid::from_u128(who)),
        email: actor(who).email,
        stands_in_for: None,
        stage: 0,
        kind,
    }
}

fn party(who: u128) -> Party {
    Party {
        user: Some(actor(who).user),
        email: actor(who).email,
    }
}

/// What a person says about the run's plan, and nothing else.
fn say(who: u128) -> Say {
    Say {
        actor: actor(who),
        on: Subject::Run,
        plan_hash: None,
        stage: None,
        comment: None,
        answer: None,
    }
}

fn approve(who: u128) -> Decision {
    Decision::Approve(say(who))
}

fn reject(who: u128) -> Decision {
    Decision::Reject(say(who))
}

fn cancel() -> Decision {
    Decision::Cancel { actor: actor(1) }
}

fn retry() -> Decision {
    Decision::Retry { actor: actor(1) }
}

#[test]
fn an_approval_makes_a_waiting_run_ready_with_one_event() {
    let change = decide(&in_phase(Phase::Waiting), &approve(1), NOW).unwrap();
    assert_eq!(
        change.live.as_ref().map(|live| live.phase),
        Some(Phase::Ready)
    );
    assert_eq!(
        change.live.and_then(|live| live.approved_hash),
        Some(hash("plan"))
    );
    assert_eq!(change.run.status, RunStatus::InProgress);
    assert_eq!(change.events, ["flow_run.approved"]);
}

#[test]
fn the_same_person_again_changes_nothing_and_another_conflicts() {
    for phase in [Phase::Ready, Phase::Running, Phase::Parked, Phase::Paused] {
        assert_eq!(
            decide(&in_phase(phase), &approve(1), NOW),
            Err(Refused::AlreadySo)
        );
        assert!(matches!(
            decide(&in_phase(phase), &approve(2), NOW),
            Err(Refused::Conflict(_))
        ));
    }
    assert_eq!(
        decide(&ended(RunStatus::Completed), &approve(1), NOW),
        Err(Refused::AlreadySo)
    );
}

#[test]
fn an_approval_after_a_cancel_conflicts_whoever_sends_it() {
    for facts in [in_phase(Phase::Closing), ended(RunStatus::Cancelled)] {
        for who in [1, 2] {
            assert!(matches!(
                decide(&facts, &approve(who), NOW),
                Err(Refused::Conflict(_))
            ));
        }
    }
}

#[test]
fn an_approval_of_another_plan_is_stale() {
    let decision = Decision::Approve(Say {
        plan_hash: Some(hash("other")),
        ..say(1)
    });
    assert_eq!(
        decide(&in_phase(Phase::Waiting), &decision, NOW),
        Err(Refused::StalePlan)
    );
}

#[test]
fn changed_code_is_not_approved() {
    let mut facts = in_phase(Phase::Waiting);
    facts.code_current = false;
    assert_eq!(decide(&facts, &approve(1), NOW), Err(Refused::CodeChanged));
}

#[test]
fn below_the_quorum_a_vote_is_kept_and_nothing_starts() {
    let mut facts = in_phase(Phase::Waiting);
    facts.policy = Some(Arc::new(Policy::quorum(2)));
    let change = decide(&facts, &approve(1), NOW).unwrap();
    assert_eq!(change.live.map(|live| live.phase), Some(Phase::Waiting));
    assert_eq!(change.run.approval_status, None);
    assert!(change.events.is_empty());
    facts.votes.push(vote(1, VoteKind::Approve));
    assert_eq!(decide(&facts, &approve(1), NOW), Err(Refused::AlreadySo));
    let change = decide(&facts, &approve(2), NOW).unwrap();
    assert_eq!(change.events, ["flow_run.approved"]);
}

#[test]
fn a_rejection_ends_a_waiting_run_only() {
    let change = decide(&in_phase(Phase::Waiting), &reject(1), NOW).unwrap();
    assert_eq!(change.live, None);
    assert_eq!(change.run.status, RunStatus::Cancelled);
    assert!(change.body.is_some());
    for phase in [
        Phase::Ready,
        Phase::Running,
        Phase::Parked,
        Phase::Paused,
        Phase::Closing,
    ] {
        assert!(matches!(
            decide(&in_phase(phase), &reject(1), NOW),
            Err(Refused::Conflict(_))
        ));
    }
}

#[test]
fn a_cancel_before_the_first_claim_ends_the_run_at_once() {
    for phase in [Phase::Waiting, Phase::Ready] {
        let change = decide(&in_phase(phase), &cancel(), NOW).unwrap();
        assert_eq!(change.live, None);
        assert_eq!(change.events, ["flow_run.cancelled"]);
    }
}

#[test]
fn a_cancel_of_a_claimed_run_leaves_the_clean_up_to_an_owner() {
    let change = decide(&in_phase(Phase::Running), &cancel(), NOW).unwrap();
    let closing = change.live.unwrap();
    assert_eq!((closing.phase, closing.inbox_seq), (Phase::Closing, 1));
    assert!(change.poke && change.events.is_empty());
    let change = decide(&in_phase(Phase::Parked), &cancel(), NOW).unwrap();
    assert!(!change.poke);
    assert_eq!(change.events, ["flow_run.cancel_requested"]);
}

#[test]
fn a_cancel_forgets_a_pause_that_was_asked_for() {
    let mut facts = in_phase(Phase::Running);
    facts.live.as_mut().unwrap().intent = Some(Intent::Pause);
    assert_eq!(
        decide(&facts, &cancel(), NOW).unwrap().live.unwrap().intent,
        None
    );
}

#[test]
fn a_finished_run_cannot_be_cancelled() {
    for status in [RunStatus::Completed, RunStatus::Failed] {
        assert!(matches!(
            decide(&ended(status), &cancel(), NOW),
            Err(Refused::Conflict(_))
        ));
    }
}

#[test]
fn only_approved_runs_that_ended_badly_are_retried() {
    for status in [RunStatus::Failed, RunStatus::Cancelled] {
        let change = decide(&ended(status), &retry(), NOW).unwrap();
        assert_eq!((change.run.round, change.new_round), (2, true));
        assert_eq!(
            change.live.map(|live| (live.phase, live.epoch)),
            Some((Phase::Ready, 1))
        );
    }
    assert!(decide(&ended(RunStatus::Completed), &retry(), NOW).is_err());
    assert!(decide(&in_phase(Phase::Running), &retry(), NOW).is_err());
    let mut rejected = ended(RunStatus::Cancelled);
    rejected.run.approved_hash = None;
    assert!(decide(&rejected, &retry(), NOW).is_err());
}

#[test]
fn the_run_limit_counts_from_the_approval() {
    let mut facts = in_phase(Phase::Waiting);
    facts.timeout = Some(Duration::from_secs(2));
    let change = decide(&facts, &approve(1), NOW).unwrap();
    assert_eq!(change.live.unwrap().deadline_at, Some(Micros(3_000_000)));
}
