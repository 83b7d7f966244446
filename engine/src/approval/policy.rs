//! The policy a plan carries: every default written out, so that what an approver reads is what holds.

use serde::{Deserialize, Deserializer, Serialize};
use serde_json::Value;

/// Who must approve, in which order, until when.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Policy {
    pub mode: Mode,
    /// In order: the next is asked when the one before has all its approvals. At least one.
    pub stages: Vec<Stage>,
    /// Whoever asked for the run cannot approve it.
    pub distinct_from_requester: bool,
    /// Whoever wrote this version of the flow cannot approve it.
    pub distinct_from_author: bool,
    /// Whoever approved in one stage cannot approve in another.
    pub distinct_approvers: bool,
    /// Whether a decision must say why.
    pub reason_required: bool,
    /// How long may be answered, in milliseconds from the asking.
    pub expires_in_ms: Option<u64>,
    pub on_expiry: OnExpiry,
    /// Who may answer, besides those of the stage, once it was escalated.
    pub escalate_to: Audience,
    /// How long before the expiry to remind, in milliseconds, the earliest reminder first.
    pub remind_before_ms: Vec<u64>,
    /// Whether it may be approved beforehand, by a standing approval.
    pub standing: bool,
}

/// Whether anybody is asked.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Mode {
    #[default]
    Required,
    /// Runs start at once.
    None,
}

/// What becomes of what nobody decided in time.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum OnExpiry {
    #[default]
    Reject,
    /// Others may answer as well, for as long again; then it is rejected.
    Escalate,
    Approve,
}

/// A number of approvals by some people.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Stage {
    pub name: String,
    /// How many approvals it takes; at least 1.
    pub count: u32,
    pub approvers: Audience,
}

/// People: those named, those of a group, those with a permission. Nobody named: whoever may approve at all.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Audience {
    /// E-mails in lower case, sorted.
    pub users: Vec<String>,
    pub groups: Vec<String>,
    pub permissions: Vec<String>,
}

impl Policy {
    /// So many approvals by whoever may approve, and nothing else asked.
    pub fn quorum(count: u32) -> Policy {
        Policy {
            mode: Mode::Required,
            stages: vec![Stage {
                name: Stage::ONLY.to_owned(),
                count,
                approvers: Audience::default(),
            }],
            distinct_from_requester: false,
            distinct_from_author: false,
            distinct_approvers: true,
            reason_required: false,
            expires_in_ms: None,
            on_expiry: OnExpiry::Reject,
            escalate_to: Audience::default(),
            remind_before_ms: Vec::new(),
            standing: false,
        }
    }
}

impl Policy {
    /// What a gate inside a run is laid on: this floor's rules, with one approval by whoever may approve.
    pub fn of_gates(&self) -> Policy {
        Policy {
            mode: Mode::Required,
            stages: Policy::quorum(1).stages,
            ..self.clone()
        }
    }
}

impl Stage {
    /// The name of a stage that was given none because there is only one.
    pub const ONLY: &'static str = "approval";
}

impl Audience {
    /// Reads `eve@example.com`, `group:finance` and `permission:deploy`; the words that are none of these.
    pub fn parse(words: &[String]) -> Result<Audience, Vec<usize>> {
        let mut audience = Audience::default();
        let mut wrong = Vec::new();
        for (at, word) in words.iter().enumerate() {
            let word = word.trim();
            let (list, name) = match word.split_once(':') {
                Some(("group", name)) => (&mut audience.groups, name.trim().to_owned()),
                Some(("permission", name)) => (&mut audience.permissions, name.trim().to_owned()),
                None if word.contains('@') => (&mut audience.users, word.to_lowercase()),
                _ => {
                    wrong.push(at);
                    continue;
                }
            };
            if name.is_empty() {
                wrong.push(at);
            } else {
                list.push(name);
            }
        }
        for list in [
            &mut audience.users,
            &mut audience.groups,
            &mut audience.permissions,
        ] {
            list.sort_unstable();
            list.dedup();
        }
        if wrong.is_empty() {
            Ok(audience)
        } else {
            Err(wrong)
        }
    }

    /// As it is written in a flow.
    pub fn words(&self) -> Vec<String> {
        let users = self.users.iter().cloned();
        let groups = self.groups.iter().map(|name| format!("group:{name}"));
        let permissions = self
            .permissions
            .iter()
            .map(|name| format!("permission:{name}"));
        users.chain(groups).chain(permissions).collect()
    }

    /// Whether nobody is named.
    pub fn is_anyone(&self) -> bool {
        self.users.is_empty() && self.groups.is_empty() && self.permissions.is_empty()
    }

    /// Whether all of these are surely among `others`.
    pub fn within(&self, others: &Audience) -> bool {
        let all = |mine: &[String], theirs: &[String]| mine.iter().all(|one| theirs.contains(one));
        others.is_anyone()
            || !self.is_anyone()
                && all(&self.users, &others.users)
                && all(&self.groups, &others.groups)
                && all(&self.permissions, &others.permissions)
    }

    /// These and others. Whoever joins anyone leaves it at anyone.
    pub fn joined(&self, others: &Audience) -> Audience {
        if self.is_anyone() || others.is_anyone() {
            return Audience::default();
        }
        let both = |mine: &[String], theirs: &[String]| {
            let mut all = [mine, theirs].concat();
            all.sort_unstable();
            all.dedup();
            all
        };
        Audience {
            users: both(&self.users, &others.users),
            groups: both(&self.groups, &others.groups),
            permissions: both(&self.permissions, &others.permissions),
        }
    }
}

/// Reads a policy as plans hold it. Plans of format 1 held a number of approvals only.
pub(crate) fn stored_policy<'de, D: Deserializer<'de>>(
    deserializer: D,
) -> Result<Policy, D::Error> {
    #[derive(Deserialize)]
    struct Old {
        count: u32,
    }
    let stored = Value::deserialize(deserializer)?;
    let read = if stored.get("stages").is_some() {
        serde_json::from_value(stored)
    } else {
        serde_json::from_value(stored).map(|old: Old| Policy::quorum(old.count))
    };
    read.map_err(serde::de::Error::custom)
}

#[cfg(test)]
#[expect(clippy::unwrap_used, reason = "tests")]
mod tests;
