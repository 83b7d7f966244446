//! One person's word on a plan or a gate.

use crate::ids::UserId;

/// A vote. Those that count are on the plan, and in the round, that is asked about.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Vote {
    pub approver: UserId,
    pub email: String,
    /// Whose place the approver took; none: their own.
    pub stands_in_for: Option<String>,
    pub stage: u32,
    pub kind: VoteKind,
}

/// What a vote says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum VoteKind {
    Approve,
    Reject,
}

impl Vote {
    /// The place it counts for: an e-mail in lower case.
    pub fn place(&self) -> String {
        match &self.stands_in_for {
            Some(principal) => principal.to_lowercase(),
            None => self.email.to_lowercase(),
        }
    }
}

impl VoteKind {
    /// The word for it in the database.
    pub const fn as_str(self) -> &'static str {
        match self {
            VoteKind::Approve => "approve",
            VoteKind::Reject => "reject",
        }
    }
}
