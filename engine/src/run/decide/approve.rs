//! Approving and rejecting: votes on exactly one plan.

use super::super::{ApprovalStatus, LiveRun, Phase, RunStatus};
use super::{Actor, Change, Facts, Refused, RunChange, Vote, VoteKind, conflict};
use crate::{Hash, Micros};

/// A vote for the plan; the one that fills the quorum makes the run ready.
pub(super) fn approve(
    facts: &Facts,
    actor: &Actor,
    named: Option<Hash>,
    now: Micros,
) -> Result<Change, Refused> {
    let live = waiting(facts, actor, named, VoteKind::Approve)?;
    if !facts.code_current {
        return Err(Refused::CodeChanged);
    }
    let vote = Vote {
        approver: actor.user,
        plan_hash: live.plan_hash,
        kind: VoteKind::Approve,
    };
    let approvals = 1 + facts
        .votes
        .iter()
        .filter(|vote| vote.plan_hash == live.plan_hash && vote.kind == VoteKind::Approve)
        .count();
    let mut change = Change::to(RunChange::of(&facts.run));
    change.vote = Some(vote);
    if approvals < facts.quorum as usize {
        change.live = Some(live.clone());
        return Ok(change);
    }
    change.run.status = RunStatus::InProgress;
    change.run.approval_status = Some(ApprovalStatus::Approved);
    change.run.approved_hash = Some(live.plan_hash);
    change.live = Some(LiveRun {
        phase: Phase::Ready,
        approved_hash: Some(live.plan_hash),
        ready_at: Some(now),
        wake_at: None,
        deadline_at: facts.timeout.map(|limit| now.after(limit)),
        ..live.clone()
    });
    change.events.push("flow_run.approved");
    Ok(change)
}

/// One veto: the run ends before it starts.
pub(super) fn reject(
    facts: &Facts,
    actor: &Actor,
    named: Option<Hash>,
    now: Micros,
) -> Result<Change, Refused> {
    let live = waiting(facts, actor, named, VoteKind::Reject)?;
    let mut change = Change::to(RunChange::of(&facts.run));
    change.vote = Some(Vote {
        approver: actor.user,
        plan_hash: live.plan_hash,
        kind: VoteKind::Reject,
    });
    change.run.status = RunStatus::Cancelled;
    change.run.approval_status = Some(ApprovalStatus::Rejected);
    change.run.end_time = Some(now);
    change.run.reason = Some(format!("rejected by {}", actor.email).into());
    change.body = Some(format!("The run was rejected by {}.", actor.email).into());
    change.events.push("flow_run.rejected");
    Ok(change)
}

/// The live row, if it waits for a vote of `actor` on the plan they named.
fn waiting<'a>(
    facts: &'a Facts,
    actor: &Actor,
    named: Option<Hash>,
    kind: VoteKind,
) -> Result<&'a LiveRun, Refused> {
    let voted = facts.votes.iter().any(|vote| {
        vote.approver == actor.user && vote.plan_hash == facts.run.plan_hash && vote.kind == kind
    });
    if named.is_some_and(|hash| hash != facts.run.plan_hash) {
        return Err(Refused::StalePlan);
    }
    let decided = match kind {
        VoteKind::Approve => {
            facts.run.approval_status == Some(ApprovalStatus::Approved)
                && facts.run.status != RunStatus::Cancelled
        }
        VoteKind::Reject => facts.run.approval_status == Some(ApprovalStatus::Rejected),
    };
    match &facts.live {
        Some(live) if live.phase == Phase::Waiting => {
            if voted {
                Err(Refused::AlreadySo)
            } else {
                Ok(live)
            }
        }
        _ if voted && decided => Err(Refused::AlreadySo),
        _ => Err(conflict(already(facts))),
    }
}

/// Why a run that no longer waits cannot be voted on.
fn already(facts: &Facts) -> &'static str {
    match (facts.run.status, facts.run.approval_status) {
        (_, Some(ApprovalStatus::Rejected)) => "The flow run was already rejected",
        (RunStatus::Cancelled, _) => "The flow run was already cancelled",
        (RunStatus::Completed, _) => "The flow run has already completed",
        (RunStatus::Failed, _) => "The flow run has already failed",
        _ => "The flow run was already approved",
    }
}
