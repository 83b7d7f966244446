//! Every change of a run that is not its owner's: one pure function for the API, links, the command
//! line, the keeper, and every store.

mod approve;
mod cancel;
mod retry;

use std::sync::Arc;
use std::time::Duration;

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
    Approve {
        actor: Actor,
        plan_hash: Option<Hash>,
    },
    /// One rejection ends the run before it starts.
    Reject {
        actor: Actor,
        plan_hash: Option<Hash>,
    },
    /// No effect is enabled after it; a run that was claimed is cleaned up by its owner.
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
    /// None: the run is final.
    pub live: Option<LiveRun>,
    pub run: Final,
    /// Votes on the run so far, on whichever plan.
    pub votes: Vec<Vote>,
    /// Approvals a plan needs.
    pub quorum: u32,
    /// Whether the plan's code digests are the registry's current ones.
    pub code_current: bool,
    /// Limit of the whole run, from its approval.
    pub timeout: Option<Duration>,
    /// The live row a retry starts from: ids, plan and priority filled in by the caller.
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
    /// A new round: outcomes that are not `completed` make way, the old flow result goes.
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
    /// The state does not allow it.
    #[error("{0}")]
    Conflict(String),
    /// The hash that was sent is not the run's.
    #[error("the run's plan has another hash")]
    StalePlan,
    /// The registry has moved on since the plan was made.
    #[error("the code behind the plan has changed since the run was made")]
    CodeChanged,
}

/// What `decision` makes of the run, at `now`.
pub fn decide(facts: &Facts, decision: &Decision, now: Micros) -> Result<Change, Refused> {
    match decision {
        Decision::Approve { actor, plan_hash } => approve::approve(facts, actor, *plan_hash, now),
        Decision::Reject { actor, plan_hash } => approve::reject(facts, actor, *plan_hash, now),
        Decision::Cancel { actor } => cancel::cancel(facts, actor, now),
        Decision::Retry { .. } => retry::retry(facts, now),
    }
}

impl RunChange {
    /// The columns as they are: the starting point of a change.
    fn of(run: &Final) -> RunChange {
        RunChange {
            status: run.status,
            approval_status: run.approval_status,
            approved_hash: run.approved_hash,
            round: run.round,
            end_time: None,
            reason: None,
        }
    }
}

impl Change {
    /// A change to `run` that keeps nothing alive and tells nobody: the starting point of others.
    fn to(run: RunChange) -> Change {
        Change {
            live: None,
            run,
            vote: None,
            body: None,
            events: Vec::new(),
            poke: false,
            new_round: false,
        }
    }
}

fn conflict(what: impl Into<String>) -> Refused {
    Refused::Conflict(what.into())
}

#[cfg(test)]
#[expect(clippy::unwrap_used, reason = "tests")]
mod tests;
