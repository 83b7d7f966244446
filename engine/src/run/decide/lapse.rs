//! What time decides: reminders, and asks that nobody answered.

use super::super::{LiveRun, Phase};
use super::approve::{refused, started};
use super::gate::settled;
use super::{AskChange, Change, Facts, Note, Refused, RunChange, What};
use crate::Micros;
use crate::approval::{Ask, AskState, OnExpiry, Policy, Subject};

/// The time of an ask has come. It is looked at again under the lock: what was decided meanwhile stays so,
/// and the votes that were cast stay cast.
pub(super) fn lapse(facts: &Facts, on: Subject, now: Micros) -> Result<Change, Refused> {
    let (Some(live), Some(ask), Some(policy)) = (&facts.live, &facts.ask, &facts.policy) else {
        return Err(Refused::NotDue);
    };
    let waits = match on {
        Subject::Run => live.phase == Phase::Waiting,
        Subject::Gate(_) => live.phase != Phase::Closing && live.phase != Phase::Waiting,
    };
    if !waits || ask.state != AskState::Open || ask.wake_at.is_none_or(|at| at > now) {
        return Err(Refused::NotDue);
    }
    if !ask.is_over(now) {
        return Ok(reminded(facts, live, ask, policy, now));
    }
    match policy.on_expiry {
        OnExpiry::Escalate if !ask.escalated => Ok(escalated(facts, live, ask, policy, now)),
        // Time approves nothing that a person could not.
        OnExpiry::Approve if on != Subject::Run || facts.code_current => {
            Ok(approved(facts, live, ask, now))
        }
        OnExpiry::Approve | OnExpiry::Escalate | OnExpiry::Reject => {
            Ok(expired(facts, live, ask, now))
        }
    }
}

fn reminded(facts: &Facts, live: &LiveRun, ask: &Ask, policy: &Policy, now: Micros) -> Change {
    let note = Note {
        stage: stage(ask, policy),
        ..Note::new(What::Remind, ask.subject, "still open")
    };
    let mut change = Change::to(RunChange::of(&facts.run), note);
    change.live = Some(live.clone());
    change.ask = AskChange::Write(ask.reminded(policy, now));
    change
}

fn escalated(facts: &Facts, live: &LiveRun, ask: &Ask, policy: &Policy, now: Micros) -> Change {
    let note = Note {
        stage: stage(ask, policy),
        ..Note::new(
            What::Escalate,
            ask.subject,
            "nobody decided in time: others may, too",
        )
    };
    let mut change = Change::to(RunChange::of(&facts.run), note);
    change.live = Some(live.clone());
    change.ask = AskChange::Write(ask.escalated(policy, now));
    change
}

fn approved(facts: &Facts, live: &LiveRun, ask: &Ask, now: Micros) -> Change {
    let result = "nobody decided in time: approved, as the policy says";
    let change = Change::to(
        RunChange::of(&facts.run),
        Note::new(What::Expire, ask.subject, result),
    );
    match ask.subject {
        Subject::Run => started(change, facts, live, now),
        Subject::Gate(_) => {
            let decided = ask.decided(AskState::Approved, "approved by its expiry");
            settled(change, live, decided, now)
        }
    }
}

fn expired(facts: &Facts, live: &LiveRun, ask: &Ask, now: Micros) -> Change {
    let result = "nobody decided in time: rejected";
    let change = Change::to(
        RunChange::of(&facts.run),
        Note::new(What::Expire, ask.subject, result),
    );
    match ask.subject {
        Subject::Run => refused(change, live, "rejected: nobody decided in time", now),
        Subject::Gate(_) => {
            let decided = ask.decided(AskState::Expired, "nobody decided in time");
            settled(change, live, decided, now)
        }
    }
}

fn stage(ask: &Ask, policy: &Policy) -> Option<String> {
    Some(policy.stages.get(ask.stage as usize)?.name.clone())
}
