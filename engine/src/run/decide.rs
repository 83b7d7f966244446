//! Every change of a run that is not its owner's: one pure function for the API, links, the command
//! line, the keeper, and every store.

mod approve;
mod cancel;
mod gate;
mod lapse;
mod note;
mod resubmit;
mod retry;

use std::sync::Arc;
use std::time::Duration;

use super::{ApprovalStatus, LiveRun, RunStatus, Vote};
use crate::approval::{Ask, Denied, Origin, Policy, Roles, Subject};
use crate::ids::UserId;
use crate::plan::Plan;
use crate::{Hash, Json, Micros};

pub use note::{Note, What};

/// Who decides, and which way in.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Actor {
    pub user: UserId,
    pub email: String,
    /// What their token grants.
    pub permissions: Vec<String>,
    /// `rest`, `cli`, `link`, …
    pub way: &'static str,
}

/// What somebody says about a plan or a gate.
#[derive(Clone, Debug)]
pub struct Say {
    pub actor: Actor,
    pub on: Subject,
    /// The plan they saw, where they name it.
    pub plan_hash: Option<Hash>,
    /// The stage they speak for, where they name it.
    pub stage: Option<String>,
    pub comment: Option<String>,
    /// What a gate with a form is answered; fits its schema.
    pub answer: Option<Json>,
}

impl Say {
    /// About the plan of a run, and nothing more said.
    pub fn of_run(actor: Actor, plan_hash: Option<Hash>) -> Say {
        Say {
            actor,
            on: Subject::Run,
            plan_hash,
            stage: None,
            comment: None,
            answer: None,
        }
    }
}

/// A change asked for.
#[derive(Clone, Debug)]
pub enum Decision {
    Approve(Say),
    /// One rejection of a plan ends the run before it starts; one of a gate fails its task.
    Reject(Say),
    /// Nobody is asked about this run: its policy says so, or it was approved beforehand.
    Start {
        actor: Actor,
        why: Beforehand,
    },
    /// The time of an ask has come: to remind, to escalate, or to decide it.
    Lapse {
        on: Subject,
    },
    /// No effect is enabled after it; a run that was claimed is cleaned up by its owner.
    Cancel {
        actor: Actor,
    },
    /// Again from the failed tasks, under the same plan and approval.
    Retry {
        actor: Actor,
    },
    /// The code behind the plan `from` has moved on: ask again, about the plan with the code there is now.
    Resubmit {
        plan: Arc<Plan>,
        from: Hash,
        /// In words.
        why: String,
    },
}

/// Why nobody is asked.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Beforehand {
    /// The policy asks nobody.
    Policy,
    /// A standing approval covers the run.
    Standing {
        id: uuid::Uuid,
        /// Who approved it, in words.
        by: String,
    },
}

impl Decision {
    /// What it is about.
    pub fn subject(&self) -> Subject {
        match self {
            Decision::Approve(say) | Decision::Reject(say) => say.on,
            Decision::Lapse { on } => *on,
            Decision::Start { .. }
            | Decision::Cancel { .. }
            | Decision::Retry { .. }
            | Decision::Resubmit { .. } => Subject::Run,
        }
    }

    /// Who decides; nobody where time or the registry does.
    pub fn actor(&self) -> Option<&Actor> {
        match self {
            Decision::Approve(say) | Decision::Reject(say) => Some(&say.actor),
            Decision::Start { actor, .. }
            | Decision::Cancel { actor }
            | Decision::Retry { actor } => Some(actor),
            Decision::Lapse { .. } | Decision::Resubmit { .. } => None,
        }
    }
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
    /// The question decided about; none if it is not put (yet), or not any more.
    pub ask: Option<Ask>,
    /// Votes on the subject: on the run's present plan, and for a gate in its present round.
    pub votes: Vec<Vote>,
    /// The policy of the subject; none where the plan has no such gate, or where it plays no part.
    pub policy: Option<Arc<Policy>>,
    pub origin: Option<Arc<Origin>>,
    /// What the actor is in the organization.
    pub roles: Roles,
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
    /// What becomes of the ask.
    pub ask: AskChange,
    /// What the decision log keeps of it.
    pub note: Note,
    /// A flow result to insert: the run ended here.
    pub body: Option<Arc<str>>,
    /// Types of the outbox rows to insert (`flow_run.approved`, …).
    pub events: Vec<&'static str>,
    /// Tell the owner to look again.
    pub poke: bool,
    /// A new round: outcomes that are not `completed` make way, with their gates; the old flow result goes.
    pub new_round: bool,
}

/// What becomes of the ask a decision is about.
#[derive(Clone, Debug, PartialEq)]
pub enum AskChange {
    Keep,
    Write(Ask),
    /// It is not put any more: the run was decided, or is over. With it go all others of the run, should it
    /// be over.
    Drop,
    /// The plan is asked about as if for the first time: the run was given a new one.
    Anew,
}

/// The columns of `flow_runs` afterwards.
#[derive(Clone, Debug, PartialEq)]
pub struct RunChange {
    pub plan_hash: Hash,
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
    /// The answer came after its time; it is noted, and changes nothing.
    #[error("{0}")]
    Late(String),
    /// The hash that was sent is not the run's.
    #[error("the run's plan has another hash")]
    StalePlan,
    /// The registry has moved on since the plan was made.
    #[error("the code behind the plan has changed since the run was made")]
    CodeChanged,
    /// The policy does not let this person decide; it is noted.
    #[error("{0}")]
    Denied(Denied),
    /// The policy asks for a comment.
    #[error("the policy asks for a reason: a comment is needed")]
    ReasonRequired,
    /// The plan has no such gate.
    #[error("the plan has no gate there")]
    NoGate,
    /// Nothing is due.
    #[error("it is not time yet")]
    NotDue,
}

/// What `decision` makes of the run, at `now`.
pub fn decide(facts: &Facts, decision: &Decision, now: Micros) -> Result<Change, Refused> {
    match decision {
        Decision::Approve(say) if say.on == Subject::Run => approve::approve(facts, say, now),
        Decision::Reject(say) if say.on == Subject::Run => approve::reject(facts, say, now),
        Decision::Approve(say) => gate::approve(facts, say, now),
        Decision::Reject(say) => gate::reject(facts, say, now),
        Decision::Start { why, .. } => approve::start(facts, why, now),
        Decision::Lapse { on } => lapse::lapse(facts, *on, now),
        Decision::Cancel { actor } => cancel::cancel(facts, actor, now),
        Decision::Retry { .. } => retry::retry(facts, now),
        Decision::Resubmit { plan, from, why } => {
            resubmit::resubmit(facts, (plan, *from), why, now)
        }
    }
}

impl RunChange {
    /// The columns as they are: the starting point of a change.
    fn of(run: &Final) -> RunChange {
        RunChange {
            plan_hash: run.plan_hash,
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
    /// Whether the columns of `flow_runs` are to be written. A vote that decides nothing leaves even the reason
    /// why the run waits.
    pub fn touches_run(&self, facts: &Facts) -> bool {
        let phase = |live: Option<&LiveRun>| live.map(|live| live.phase);
        let goes_on = phase(facts.live.as_ref()) == Some(super::Phase::Parked)
            && phase(self.live.as_ref()) != Some(super::Phase::Parked);
        goes_on || self.run != RunChange::of(&facts.run)
    }

    /// A change to `run` that keeps nothing alive and tells nobody: the starting point of others.
    fn to(run: RunChange, note: Note) -> Change {
        Change {
            live: None,
            run,
            vote: None,
            ask: AskChange::Keep,
            note,
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
