//! Every change of a run that is not its owner's: one pure function for the API, links, the command
//! line, the keeper, and every store.

use std::sync::Arc;

use super::{ApprovalStatus, LiveRun, RunStatus};
use crate::ids::UserId;
use crate::{Hash, Micros};

/// Who decides, and which way in.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Actor {
    pub user: UserId,
    pub email: String,
    /// `rest`, `cli`, `link`, …
    pub way: &'static str,
}

/// One vote on a plan.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Vote {
    pub approver: UserId,
    pub plan_hash: Hash,
    pub kind: VoteKind,
}

/// What a vote says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum VoteKind {
    Approve,
    Reject,
}

/// A change asked for.
#[derive(Clone, Debug)]
pub enum Decision {
    /// `plan_hash`: the plan the approver saw, where they name it.
    Approve { actor: Actor, plan_hash: Option<Hash> },
    Reject { actor: Actor, plan_hash: Option<Hash> },
    Cancel { actor: Actor },
    /// Again from the failed tasks, under the same plan and approval.
    Retry { actor: Actor },
}

/// The run's row in `flow_runs`, as far as decisions need it.
#[derive(Clone, Debug, PartialEq)]
pub struct Final {
    pub status: RunStatus,
    pub approval_status: Option<ApprovalStatus>,
    pub plan_hash: Hash,
    pub approved_hash: Option<Hash>,
    pub epoch: i64,
    pub round: u32,
}

/// What was read under the lock, after it.
#[derive(Clone, Debug)]
pub struct Facts {
    /// None: final.
    pub live: Option<LiveRun>,
    pub run: Final,
    pub votes: Vec<Vote>,
    /// Votes a plan needs.
    pub quorum: u32,
    /// Whether the plan's code digests are the registry's current ones.
    pub code_current: bool,
    /// Limit of the whole run, from its approval.
    pub timeout: Option<std::time::Duration>,
    /// What a retried run's live row starts from: the caller fills in the ids.
    pub fresh: LiveRun,
}

/// What is to be written, all in the deciding transaction.
#[derive(Clone, Debug, PartialEq)]
pub struct Change {
    /// The live row afterwards; none: deleted.
    pub live: Option<LiveRun>,
    pub run: RunChange,
    pub vote: Option<Vote>,
    /// A flow result to insert: the run ended here.
    pub body: Option<Arc<str>>,
    /// Types of the outbox rows to insert (`flow_run.approved`, …).
    pub events: Vec<&'static str>,
    /// Tell the owner to look again.
    pub poke: bool,
    /// A new round: outcomes that are not `completed` make way.
    pub new_round: bool,
}

/// The columns of `flow_runs` afterwards.
#[derive(Clone, Debug, PartialEq)]
pub struct RunChange {
    pub status: RunStatus,
    pub approval_status: Option<ApprovalStatus>,
    pub approved_hash: Option<Hash>,
    pub round: u32,
    pub end_time: Option<Micros>,
    pub reason: Option<Arc<str>>,
}

/// Why a decision changes nothing.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Refused {
    /// The same person already decided so: answered as done, without a second event.
    #[error("already decided so")]
    AlreadySo,
    #[error("{0}")]
    Conflict(String),
    #[error("the run's plan has another hash")]
    StalePlan,
    #[error("the code behind the plan has changed since it was made")]
    CodeChanged,
}

/// What `decision` makes of the run, at `now`.
pub fn decide(facts: &Facts, decision: &Decision, now: Micros) -> Result<Change, Refused> {
    let _ = (facts, decision, now);
    todo!()
}
