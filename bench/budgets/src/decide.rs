//! Votes on a plan whose policy has two stages: the first, one that fills a stage, and the last.

use std::hint::black_box;
use std::sync::Arc;

use neena_engine::approval::{Ask, Audience, Origin, Party, Policy, Roles, Stage, Subject};
use neena_engine::ids::{FlowId, OrganizationId, RunId, UserId};
use neena_engine::run::{
    Actor, Decision, Facts, Final, LiveRun, Phase, RunStatus, Say, Vote, VoteKind, decide,
};
use neena_engine::{Hash, Micros};
use uuid::Uuid;

use crate::Walk;

const NOW: Micros = Micros(1_000_000);

/// Decides so many hundredths of a hundred times.
pub fn votes(share: usize) -> Walk {
    let cases: Vec<(Facts, Decision)> = [
        (0, vec![], 1),
        (0, vec![(0, 1)], 2),
        (1, vec![(0, 1), (0, 2)], 3),
    ]
    .into_iter()
    .map(|(stage, votes, who)| (facts(stage, &votes), Decision::Approve(say(who))))
    .collect();
    let mut kept = Vec::with_capacity(4 * share);
    Box::new(move || {
        for (facts, decision) in cases.iter().cycle().take(share) {
            kept.push(decide(black_box(facts), black_box(decision), NOW));
        }
        assert!(kept.iter().all(Result::is_ok), "a vote that counts");
    })
}

fn policy() -> Policy {
    let stage = |name: &str, count, who: &[u128]| Stage {
        name: name.to_owned(),
        count,
        approvers: Audience {
            users: who.iter().map(|who| email(*who)).collect(),
            ..Audience::default()
        },
    };
    Policy {
        stages: vec![
            stage("team", 2, &[1, 2, 4, 5]),
            stage("finance", 1, &[3, 6]),
        ],
        ..Policy::quorum(1)
    }
}

fn facts(stage: u32, votes: &[(u32, u128)]) -> Facts {
    let policy = policy();
    let votes = votes.iter().map(|(stage, who)| Vote {
        approver: UserId(Uuid::from_u128(*who)),
        email: email(*who),
        stands_in_for: None,
        stage: *stage,
        kind: VoteKind::Approve,
    });
    Facts {
        live: Some(live()),
        run: Final {
            status: RunStatus::Pending,
            approval_status: None,
            plan_hash: plan(),
            approved_hash: None,
            epoch: 0,
            round: 1,
        },
        votes: votes.collect(),
        ask: Some(Ask {
            stage,
            tell: None,
            ..Ask::new(Subject::Run, &policy, NOW)
        }),
        policy: Some(Arc::new(policy)),
        origin: Some(Arc::new(Origin {
            requester: party(9),
            author: Some(party(8)),
        })),
        roles: Roles::default(),
        code_current: true,
        timeout: None,
        fresh: live(),
    }
}

fn live() -> LiveRun {
    LiveRun {
        run: RunId(Uuid::from_u128(1)),
        organization: OrganizationId(Uuid::from_u128(2)),
        flow: FlowId(Uuid::from_u128(3)),
        phase: Phase::Waiting,
        intent: None,
        owner: None,
        claim: None,
        epoch: 0,
        claims: 0,
        inbox_seq: 0,
        wake_at: None,
        ready_at: None,
        deadline_at: None,
        priority: 0,
        plan_hash: plan(),
        approved_hash: None,
        plan_v: 2,
    }
}

fn say(who: u128) -> Say {
    let actor = Actor {
        user: UserId(Uuid::from_u128(who)),
        email: email(who),
        permissions: vec!["approve".to_owned()],
        way: "rest",
    };
    Say::of_run(actor, Some(plan()))
}

fn party(who: u128) -> Party {
    Party {
        user: Some(UserId(Uuid::from_u128(who))),
        email: email(who),
    }
}

fn email(who: u128) -> String {
    format!("person-{who}@example.com")
}

fn plan() -> Hash {
    Hash::of(b"plan")
}
