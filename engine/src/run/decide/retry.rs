//! Retrying: a new round of the same run, under the same plan and the same approval.

use super::super::{LiveRun, Phase, RunStatus};
use super::{Change, Facts, Note, Refused, RunChange, What, conflict};
use crate::Micros;
use crate::approval::Subject;

pub(super) fn retry(facts: &Facts, now: Micros) -> Result<Change, Refused> {
    if facts.live.is_some() {
        return Err(conflict("The flow run has not ended yet"));
    }
    if !matches!(facts.run.status, RunStatus::Failed | RunStatus::Cancelled) {
        return Err(conflict(format!(
            "Only a failed or cancelled flow run can be retried; this one is {}",
            facts.run.status
        )));
    }
    if facts.run.approved_hash != Some(facts.run.plan_hash) {
        return Err(conflict("The flow run was never approved"));
    }
    let result = format!("round {}", facts.run.round + 1);
    let note = Note::new(What::Retry, Subject::Run, result);
    let mut change = Change::to(RunChange::of(&facts.run), note);
    change.run.status = RunStatus::InProgress;
    change.run.round += 1;
    change.new_round = true;
    change.live = Some(LiveRun {
        phase: Phase::Ready,
        intent: None,
        owner: None,
        claim: None,
        epoch: facts.run.epoch,
        claims: 0,
        inbox_seq: 0,
        wake_at: None,
        ready_at: Some(now),
        deadline_at: facts.timeout.map(|limit| now.after(limit)),
        plan_hash: facts.run.plan_hash,
        approved_hash: facts.run.approved_hash,
        ..facts.fresh.clone()
    });
    change.events.push("flow_run.resumed");
    Ok(change)
}
