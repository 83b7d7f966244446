//! What waits for people: a run's plan, or a gate inside a run.

use std::fmt;
use std::str::FromStr;
use std::time::Duration;

use super::{Audience, Origin, Policy, authorize};
use crate::run::TaskKey;
use crate::{Hash, Json, Micros};

/// What is decided about.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Subject {
    /// The plan as a whole, before it starts.
    Run,
    /// The gate before a task.
    Gate(TaskKey),
}

/// Where an ask stands. What is decided stays decided.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum AskState {
    Open,
    Approved,
    Rejected,
    /// Nobody decided in time, and the policy says that this is a no.
    Expired,
}

impl AskState {
    /// The word for it in the database.
    pub const fn as_str(self) -> &'static str {
        match self {
            AskState::Open => "open",
            AskState::Approved => "approved",
            AskState::Rejected => "rejected",
            AskState::Expired => "expired",
        }
    }
}

impl fmt::Display for AskState {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

impl FromStr for AskState {
    type Err = crate::run::UnknownStatus;
    fn from_str(text: &str) -> Result<AskState, Self::Err> {
        Ok(match text {
            "open" => AskState::Open,
            "approved" => AskState::Approved,
            "rejected" => AskState::Rejected,
            "expired" => AskState::Expired,
            other => return Err(crate::run::UnknownStatus(other.to_owned())),
        })
    }
}

/// What those who may answer are told.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Tell {
    /// They are asked.
    Requested,
    /// They are still asked.
    Reminder,
    /// Nobody answered in time, and now they are asked, too.
    Escalated,
}

impl Tell {
    /// The word for it in the database.
    pub const fn as_str(self) -> &'static str {
        match self {
            Tell::Requested => "requested",
            Tell::Reminder => "reminder",
            Tell::Escalated => "escalated",
        }
    }
}

impl FromStr for Tell {
    type Err = crate::run::UnknownStatus;
    fn from_str(text: &str) -> Result<Tell, Self::Err> {
        Ok(match text {
            "requested" => Tell::Requested,
            "reminder" => Tell::Reminder,
            "escalated" => Tell::Escalated,
            other => return Err(crate::run::UnknownStatus(other.to_owned())),
        })
    }
}

/// A row of `asks`: one per run that waits for approval and one per gate that was reached.
#[derive(Clone, Debug, PartialEq)]
pub struct Ask {
    pub subject: Subject,
    pub state: AskState,
    /// The stage that is asked.
    pub stage: u32,
    /// Since when this stage, or those it was escalated to, can answer.
    pub asked_at: Micros,
    /// Until when an answer counts.
    pub due_at: Option<Micros>,
    /// When to look again: at the next reminder or at the expiry.
    pub wake_at: Option<Micros>,
    pub escalated: bool,
    /// What those who may answer are still to be told.
    pub tell: Option<Tell>,
    /// What a gate with a form was answered.
    pub answer: Option<Json>,
    /// Who decided or why it expired, in words; none while it is open.
    pub reason: Option<String>,
}

/// A question as it is put for the first time, with what it is found by.
#[derive(Clone, Debug, PartialEq)]
pub struct Asked {
    pub ask: Ask,
    /// The key of the gate; empty for a plan.
    pub name: String,
    pub audience: Audience,
    /// How many approvals the stage takes that is asked.
    pub needed: u32,
    /// E-mail, in lower case, of the requester, if they may not answer.
    pub requester: Option<String>,
    /// E-mail, in lower case, of the flow's author, if they may not answer.
    pub author: Option<String>,
}

impl Asked {
    /// What `policy` asks at `now` about a plan of this origin, or about a gate of it.
    pub fn new(
        subject: Subject,
        name: &str,
        policy: &Policy,
        origin: &Origin,
        now: Micros,
    ) -> Asked {
        let ask = Ask::new(subject, policy, now);
        let author = origin.author.as_ref();
        Asked {
            audience: ask.audience(policy),
            needed: ask.needed(policy),
            ask,
            name: name.to_owned(),
            requester: policy
                .distinct_from_requester
                .then(|| origin.requester.email.to_lowercase()),
            author: author
                .filter(|_| policy.distinct_from_author)
                .map(|author| author.email.to_lowercase()),
        }
    }
}

impl Ask {
    /// A question put at `now`.
    pub fn new(subject: Subject, policy: &Policy, now: Micros) -> Ask {
        let due_at = policy
            .expires_in_ms
            .map(|limit| now.after(Duration::from_millis(limit)));
        Ask {
            subject,
            state: AskState::Open,
            stage: 0,
            asked_at: now,
            due_at,
            wake_at: next_look(policy, due_at, now),
            escalated: false,
            tell: Some(Tell::Requested),
            answer: None,
            reason: None,
        }
    }

    /// Who may answer now.
    pub fn audience(&self, policy: &Policy) -> Audience {
        authorize::audience(policy, self.stage as usize, self.escalated)
    }

    /// How many approvals the stage takes that is asked.
    pub fn needed(&self, policy: &Policy) -> u32 {
        let stage = policy.stages.get(self.stage as usize);
        stage.map_or(1, |stage| stage.count)
    }

    /// The question decided: nobody is asked or reminded any more.
    pub fn decided(&self, state: AskState, reason: impl Into<String>) -> Ask {
        Ask {
            state,
            wake_at: None,
            tell: None,
            reason: Some(reason.into()),
            ..self.clone()
        }
    }

    /// The same question put to others as well, for as long again.
    pub fn escalated(&self, policy: &Policy, now: Micros) -> Ask {
        Ask {
            stage: self.stage,
            escalated: true,
            tell: Some(Tell::Escalated),
            answer: self.answer.clone(),
            ..Ask::new(self.subject, policy, now)
        }
    }

    /// The same question at its next moment after `now`.
    pub fn reminded(&self, policy: &Policy, now: Micros) -> Ask {
        Ask {
            wake_at: next_look(policy, self.due_at, now),
            tell: Some(Tell::Reminder),
            ..self.clone()
        }
    }

    /// Whether an answer comes too late.
    pub fn is_over(&self, now: Micros) -> bool {
        self.due_at.is_some_and(|due| due <= now)
    }
}

/// The name of an audience: what rows that wait for the same people share.
impl Audience {
    pub fn hash(&self) -> Hash {
        let text = serde_json::to_string(self).unwrap_or_default();
        Hash::of(text.as_bytes())
    }
}

/// The next reminder after `now`, or the expiry.
fn next_look(policy: &Policy, due_at: Option<Micros>, now: Micros) -> Option<Micros> {
    let due = due_at?;
    let reminder =
        policy
            .remind_before_ms
            .iter()
            .map(|before| {
                Micros(due.0.saturating_sub(
                    i64::try_from(before.saturating_mul(1_000)).unwrap_or(i64::MAX),
                ))
            })
            .filter(|at| *at > now)
            .min();
    Some(reminder.map_or(due, |at| at.min(due)))
}

#[cfg(test)]
#[expect(clippy::unwrap_used, reason = "tests")]
mod tests;
