//! The life of a run. [`Run`] is what its owner decides while it holds the run; [`decide()`] is
//! everything decided by others (approve, reject, cancel, retry, expiry). Both are pure.

mod body;
mod decide;
mod live;
mod machine;
mod row;
mod status;
mod vote;

pub use body::{failure_body, result_body};
pub use decide::{
    Actor, AskChange, Beforehand, Change, Decision, Facts, Final, Note, Refused, RunChange, Say,
    What, decide,
};
pub use live::{Intent, LiveRun, Phase};
pub use machine::{Command, Event, History, Outcome, Run, Standing, Start, TaskError};
pub use row::{Attempt, Ending, Record, TaskKey, TaskRow, Then};
pub use status::{ApprovalStatus, RunStatus, TaskStatus, UnknownStatus};
pub use vote::{Vote, VoteKind};
