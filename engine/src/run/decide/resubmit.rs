//! Asking again: the code behind a plan has moved on, and the run holds a new plan.

use super::super::{LiveRun, Phase, RunStatus};
use super::{AskChange, Change, Facts, Note, Refused, RunChange, What, conflict};
use crate::Micros;
use crate::approval::{Mode, Subject};
use crate::plan::Plan;

/// The run waits for approval of `plan`, which took the place of the plan `from`; what it has done stays done. Votes
/// on any other plan, and earlier ones on this, count no more. A run that nobody was asked about goes on.
pub(super) fn resubmit(
    facts: &Facts,
    (plan, from): (&Plan, crate::Hash),
    why: &str,
    now: Micros,
) -> Result<Change, Refused> {
    let Some(live) = &facts.live else {
        return Err(conflict("The flow run is over"));
    };
    if facts.run.plan_hash != from {
        return Err(Refused::StalePlan);
    }
    if plan.hash == from {
        return Err(Refused::AlreadySo);
    }
    if !matches!(live.phase, Phase::Waiting | Phase::Parked) {
        return Err(conflict(format!("The flow run is {}", live.phase)));
    }
    let note = Note::new(
        What::Resubmit,
        Subject::Run,
        format!("{why}: the new plan is {}", plan.hash),
    );
    let mut change = Change::to(RunChange::of(&facts.run), note);
    change.run.plan_hash = plan.hash;
    change.run.reason = Some(why.into());
    let mut live = LiveRun {
        plan_hash: plan.hash,
        plan_v: plan.head.v,
        claims: 0,
        ..live.clone()
    };
    if plan.head.policy.mode == Mode::None {
        live.phase = Phase::Ready;
        live.ready_at = Some(now);
        live.wake_at = None;
        live.approved_hash = Some(plan.hash);
        change.run.status = RunStatus::InProgress;
        change.run.approved_hash = Some(plan.hash);
        change.ask = AskChange::Drop;
        change.events.push("flow_run.resumed");
    } else {
        live.phase = Phase::Waiting;
        live.wake_at = None;
        live.deadline_at = None;
        live.approved_hash = None;
        change.run.status = RunStatus::Pending;
        change.run.approval_status = None;
        change.run.approved_hash = None;
        change.ask = AskChange::Anew;
    }
    change.live = Some(live);
    Ok(change)
}
