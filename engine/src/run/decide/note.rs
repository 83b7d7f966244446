//! What the decision log keeps of a decision.

use crate::approval::{Subject, Tally};

use super::{Actor, Decision, Facts, Refused, Say};

/// What was decided, in a word of the decision log.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum What {
    Approve,
    Reject,
    Start,
    Remind,
    Escalate,
    Expire,
    Cancel,
    Retry,
    /// The code behind the plan has moved on: a new plan is asked about.
    Resubmit,
    /// Somebody tried, and the policy or the time did not allow it.
    Refused,
}

/// An entry of the decision log; who, when and on which plan are known beside it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Note {
    pub what: What,
    pub subject: Subject,
    pub stage: Option<String>,
    pub stands_in_for: Option<String>,
    pub comment: Option<String>,
    /// What the policy made of it, in words: `1 of 2 in stage team`, `approved`, …
    pub result: String,
}

impl What {
    /// The word for it in the database.
    pub const fn as_str(self) -> &'static str {
        match self {
            What::Approve => "approve",
            What::Reject => "reject",
            What::Start => "start",
            What::Remind => "remind",
            What::Escalate => "escalate",
            What::Expire => "expire",
            What::Cancel => "cancel",
            What::Retry => "retry",
            What::Resubmit => "resubmit",
            What::Refused => "refused",
        }
    }
}

impl Note {
    pub(super) fn new(what: What, subject: Subject, result: impl Into<String>) -> Note {
        Note {
            what,
            subject,
            stage: None,
            stands_in_for: None,
            comment: None,
            result: result.into(),
        }
    }

    pub(super) fn of_say(what: What, say: &Say, result: impl Into<String>) -> Note {
        Note {
            comment: say.comment.clone(),
            ..Note::new(what, say.on, result)
        }
    }

    /// The entry for a decision that was refused; none where nobody learns anything from it.
    pub fn refused(facts: &Facts, decision: &Decision, why: &Refused) -> Option<Note> {
        let (Decision::Approve(say) | Decision::Reject(say)) = decision else {
            return None;
        };
        let kind = match why {
            Refused::Denied(denied) => format!("refused: {denied}"),
            Refused::Late(late) => format!("too late: {late}"),
            _ => return None,
        };
        let stage = facts.ask.as_ref().and_then(|ask| {
            let policy = facts.policy.as_ref()?;
            Some(policy.stages.get(ask.stage as usize)?.name.clone())
        });
        Some(Note {
            stage,
            ..Note::of_say(What::Refused, say, kind)
        })
    }
}

/// How far the approval is after a vote in the stage at `stage`.
pub(super) fn progress(facts: &Facts, stage: usize, after: &Tally) -> String {
    let Some(policy) = &facts.policy else {
        return "approved".to_owned();
    };
    if after.stage >= policy.stages.len() {
        return "approved".to_owned();
    }
    let (name, count) = policy
        .stages
        .get(stage)
        .map_or(("", 1), |stage| (stage.name.as_str(), stage.count));
    let have = after.approvals.get(stage).copied().unwrap_or_default();
    let mut words = format!("{have} of {count} in stage {name}");
    if after.stage > stage
        && let Some(next) = policy.stages.get(after.stage)
    {
        words.push_str(&format!("; stage {} is asked", next.name));
    }
    words
}

/// By whom, as reasons say it.
pub(super) fn by(actor: &Actor, comment: Option<&str>) -> String {
    match comment.map(str::trim).filter(|comment| !comment.is_empty()) {
        Some(comment) => format!("{}: {comment}", actor.email),
        None => actor.email.clone(),
    }
}
