//! Cancelling: the status changes here and now; the owner, if there was one, cleans up after.

use super::super::{ApprovalStatus, LiveRun, Phase, RunStatus};
use super::{Actor, AskChange, Change, Facts, Note, Refused, RunChange, What, conflict};
use crate::Micros;
use crate::approval::Subject;

pub(super) fn cancel(facts: &Facts, actor: &Actor, now: Micros) -> Result<Change, Refused> {
    let Some(live) = &facts.live else {
        let rejected = facts.run.approval_status == Some(ApprovalStatus::Rejected);
        return Err(match facts.run.status {
            RunStatus::Cancelled if !rejected => Refused::AlreadySo,
            RunStatus::Cancelled => conflict("The flow run was already rejected"),
            status => conflict(format!("The flow run has already ended as {status}")),
        });
    };
    if live.phase == Phase::Closing {
        return Err(Refused::AlreadySo);
    }
    let note = Note::new(What::Cancel, Subject::Run, "cancelled");
    let mut change = Change::to(RunChange::of(&facts.run), note);
    change.ask = AskChange::Drop;
    change.run.status = RunStatus::Cancelled;
    change.run.end_time = Some(now);
    change.run.reason = Some(format!("cancelled by {}", actor.email).into());
    if live.epoch == 0 {
        change.body = Some(format!("The run was cancelled by {}.", actor.email).into());
        change.events.push("flow_run.cancelled");
        return Ok(change);
    }
    change.live = Some(LiveRun {
        phase: Phase::Closing,
        intent: None,
        inbox_seq: live.inbox_seq + 1,
        ready_at: Some(now),
        wake_at: None,
        ..live.clone()
    });
    change.poke = live.owner.is_some();
    if live.owner.is_none() {
        change.events.push("flow_run.cancel_requested");
    }
    Ok(change)
}
