//! Approving and rejecting a plan: votes on exactly that plan.

use super::super::{ApprovalStatus, LiveRun, Phase, RunStatus, Vote, VoteKind};
use super::note::{by, progress};
use super::{
    Actor, AskChange, Beforehand, Change, Facts, Note, Refused, RunChange, Say, What, conflict,
};
use crate::Micros;
use crate::approval::{
    Ask, Mode, Person, Policy, Subject, Tally, Tell, may_approve, may_reject, tally,
};

/// A vote for the plan; the one that fills the last stage makes the run ready.
pub(super) fn approve(facts: &Facts, say: &Say, now: Micros) -> Result<Change, Refused> {
    let live = waiting(facts, say, VoteKind::Approve)?;
    let ask = open(facts, now)?;
    let cast = cast(facts, ask, say, now)?;
    if !facts.code_current {
        return Err(Refused::CodeChanged);
    }
    let note = Note {
        stage: Some(cast.stage_name),
        stands_in_for: cast.vote.stands_in_for.clone(),
        ..Note::of_say(
            What::Approve,
            say,
            progress(facts, cast.vote.stage as usize, &cast.after),
        )
    };
    let mut change = Change::to(RunChange::of(&facts.run), note);
    change.vote = Some(cast.vote);
    if let Some(ask) = cast.next {
        change.live = Some(live.clone());
        change.ask = AskChange::Write(ask);
        return Ok(change);
    }
    Ok(started(change, facts, live, now))
}

/// A run that nobody is asked about, if its policy lets it be so. Who asked for it is known from the run; it is not
/// they who decide.
pub(super) fn start(facts: &Facts, why: &Beforehand, now: Micros) -> Result<Change, Refused> {
    let Some(live) = facts
        .live
        .as_ref()
        .filter(|live| live.phase == Phase::Waiting)
    else {
        return Err(conflict(already(facts)));
    };
    if let Some(policy) = &facts.policy {
        match why {
            Beforehand::Policy if policy.mode != Mode::None => {
                return Err(conflict("The flow run asks for approval"));
            }
            Beforehand::Standing { .. } if !policy.standing => {
                return Err(conflict("The flow run cannot be approved beforehand"));
            }
            Beforehand::Policy | Beforehand::Standing { .. } => {}
        }
    }
    let result = match why {
        Beforehand::Policy => "the policy asks nobody".to_owned(),
        Beforehand::Standing { id, by } => format!("covered by the standing approval {id} of {by}"),
    };
    let note = Note::new(What::Start, Subject::Run, result);
    let change = Change::to(RunChange::of(&facts.run), note);
    Ok(started(change, facts, live, now))
}

/// The change, and the run is ready.
pub(super) fn started(mut change: Change, facts: &Facts, live: &LiveRun, now: Micros) -> Change {
    change.run.status = RunStatus::InProgress;
    change.run.approval_status = Some(ApprovalStatus::Approved);
    change.run.approved_hash = Some(live.plan_hash);
    change.ask = AskChange::Drop;
    change.live = Some(LiveRun {
        phase: Phase::Ready,
        approved_hash: Some(live.plan_hash),
        ready_at: Some(now),
        wake_at: None,
        deadline_at: facts.timeout.map(|limit| now.after(limit)),
        ..live.clone()
    });
    change.events.push("flow_run.approved");
    change
}

/// One veto: the run ends before it starts.
pub(super) fn reject(facts: &Facts, say: &Say, now: Micros) -> Result<Change, Refused> {
    let live = waiting(facts, say, VoteKind::Reject)?;
    let ask = open(facts, now)?;
    let vote = veto(facts, ask, say)?;
    let note = Note {
        stands_in_for: vote.stands_in_for.clone(),
        ..Note::of_say(What::Reject, say, "rejected")
    };
    let by = by(&say.actor, say.comment.as_deref());
    let mut change = Change::to(RunChange::of(&facts.run), note);
    change.vote = Some(vote);
    Ok(refused(change, live, &format!("rejected by {by}"), now))
}

/// The change, and the run is over: before it started, or before it went on with a new plan, and then a worker cleans
/// up after it.
pub(super) fn refused(mut change: Change, live: &LiveRun, reason: &str, now: Micros) -> Change {
    change.run.status = RunStatus::Cancelled;
    change.run.approval_status = Some(ApprovalStatus::Rejected);
    change.run.end_time = Some(now);
    change.run.reason = Some(reason.into());
    change.ask = AskChange::Drop;
    change.events.push("flow_run.rejected");
    if live.epoch == 0 {
        change.body = Some(format!("The run was {reason}.").into());
    } else {
        change.live = Some(LiveRun {
            phase: Phase::Closing,
            inbox_seq: live.inbox_seq + 1,
            ready_at: Some(now),
            wake_at: None,
            ..live.clone()
        });
        change.events.push("flow_run.cancel_requested");
    }
    change
}

/// A vote that may be cast, and what it leads to.
pub(super) struct Cast {
    pub(super) vote: Vote,
    pub(super) stage_name: String,
    pub(super) after: Tally,
    /// The ask that is left; none: all is approved.
    pub(super) next: Option<Ask>,
}

/// The approval of `say` in the stage that is asked, if the policy lets it count.
pub(super) fn cast(facts: &Facts, ask: &Ask, say: &Say, now: Micros) -> Result<Cast, Refused> {
    let policy = policy(facts)?;
    let stage = ask.stage as usize;
    let current = policy
        .stages
        .get(stage)
        .map(|stage| stage.name.clone())
        .unwrap_or_default();
    if let Some(named) = &say.stage
        && *named != current
    {
        return Err(misplaced(policy, named, &current));
    }
    let right = may_approve(
        policy,
        stage,
        ask.escalated,
        &person(facts, &say.actor),
        origin(facts)?,
        &facts.votes,
    )
    .map_err(Refused::Denied)?;
    reason_given(policy, say)?;
    let vote = Vote {
        approver: say.actor.user,
        email: say.actor.email.clone(),
        stands_in_for: right.stands_in_for,
        stage: ask.stage,
        kind: VoteKind::Approve,
    };
    let mut votes = facts.votes.clone();
    // A person's last word in a stage counts.
    votes.retain(|old| (old.approver, old.stage) != (vote.approver, vote.stage));
    votes.push(vote.clone());
    let after = tally(policy, &votes);
    let next = (after.stage < policy.stages.len()).then(|| match after.stage == stage {
        true => ask.clone(),
        // Another stage is asked now, which its approvers are told.
        false => Ask {
            stage: after.stage as u32,
            asked_at: now,
            tell: Some(Tell::Requested),
            ..ask.clone()
        },
    });
    Ok(Cast {
        vote,
        stage_name: current,
        after,
        next,
    })
}

/// The rejection of `say`, if the policy lets it count.
pub(super) fn veto(facts: &Facts, ask: &Ask, say: &Say) -> Result<Vote, Refused> {
    let policy = policy(facts)?;
    if let Some(named) = &say.stage
        && !policy.stages.iter().any(|stage| stage.name == *named)
    {
        return Err(no_such(named));
    }
    let right =
        may_reject(policy, ask.escalated, &person(facts, &say.actor)).map_err(Refused::Denied)?;
    reason_given(policy, say)?;
    Ok(Vote {
        approver: say.actor.user,
        email: say.actor.email.clone(),
        stands_in_for: right.stands_in_for,
        stage: ask.stage,
        kind: VoteKind::Reject,
    })
}

/// Whether the person of `say` has spoken so before, in the stage they name if they name one.
pub(super) fn voted(facts: &Facts, say: &Say, kind: VoteKind) -> bool {
    let meant = |vote: &Vote| match (&say.stage, &facts.policy) {
        (Some(named), Some(policy)) => {
            let stage = policy.stages.get(vote.stage as usize);
            stage.is_some_and(|stage| stage.name == *named)
        }
        _ => true,
    };
    let mut votes = facts.votes.iter();
    votes.any(|vote| vote.approver == say.actor.user && vote.kind == kind && meant(vote))
}

fn person<'a>(facts: &'a Facts, actor: &'a Actor) -> Person<'a> {
    Person {
        user: actor.user,
        email: &actor.email,
        permissions: &actor.permissions,
        roles: &facts.roles,
    }
}

fn policy(facts: &Facts) -> Result<&Policy, Refused> {
    facts.policy.as_deref().ok_or(Refused::NoGate)
}

fn origin(facts: &Facts) -> Result<&crate::approval::Origin, Refused> {
    facts.origin.as_deref().ok_or(Refused::NoGate)
}

fn reason_given(policy: &Policy, say: &Say) -> Result<(), Refused> {
    let given = say
        .comment
        .as_ref()
        .is_some_and(|comment| !comment.trim().is_empty());
    if policy.reason_required && !given {
        return Err(Refused::ReasonRequired);
    }
    Ok(())
}

/// Why a vote for the stage `named` does not count while `current` is asked.
fn misplaced(policy: &Policy, named: &str, current: &str) -> Refused {
    let place = |name: &str| policy.stages.iter().position(|stage| stage.name == name);
    match (place(named), place(current)) {
        (None, _) => no_such(named),
        (Some(named_at), Some(current_at)) if named_at > current_at => {
            Refused::Denied(crate::approval::Denied::NotYet {
                asked: named.to_owned(),
                current: current.to_owned(),
            })
        }
        _ => conflict(format!("The stage `{named}` is decided")),
    }
}

fn no_such(stage: &str) -> Refused {
    conflict(format!("There is no stage `{stage}`"))
}

/// The ask of a run that waits, while it can be answered.
fn open(facts: &Facts, now: Micros) -> Result<&Ask, Refused> {
    let ask = facts
        .ask
        .as_ref()
        .ok_or_else(|| conflict("The flow run does not ask for approval"))?;
    if ask.is_over(now) {
        return Err(late());
    }
    Ok(ask)
}

fn late() -> Refused {
    Refused::Late("The time to decide about this flow run is over".to_owned())
}

/// Whether time rejected the plan: nobody did.
fn expired(facts: &Facts) -> bool {
    facts.run.approval_status == Some(ApprovalStatus::Rejected)
        && !facts.votes.iter().any(|vote| vote.kind == VoteKind::Reject)
}

/// The live row, if it waits for a vote on the plan that `say` names.
fn waiting<'a>(facts: &'a Facts, say: &Say, kind: VoteKind) -> Result<&'a LiveRun, Refused> {
    if say
        .plan_hash
        .is_some_and(|hash| hash != facts.run.plan_hash)
    {
        return Err(Refused::StalePlan);
    }
    let voted = voted(facts, say, kind);
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
        // Too late is too late, whether or not somebody has looked at the time meanwhile.
        _ if expired(facts) => Err(late()),
        _ => Err(conflict(already(facts))),
    }
}

/// Why a run that no longer waits cannot be voted on.
pub(super) fn already(facts: &Facts) -> &'static str {
    match (facts.run.status, facts.run.approval_status) {
        (_, Some(ApprovalStatus::Rejected)) => "The flow run was already rejected",
        (RunStatus::Cancelled, _) => "The flow run was already cancelled",
        (RunStatus::Completed, _) => "The flow run has already completed",
        (RunStatus::Failed, _) => "The flow run has already failed",
        _ => "The flow run was already approved",
    }
}
