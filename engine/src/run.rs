//! The life of a run. [`Run`] is what its owner decides while it holds the run; [`decide()`] is
//! everything decided by others (approve, reject, cancel, retry, expiry). Both are pure.

mod body;
mod decide;
mod live;
mod machine;
mod row;
mod status;

pub use body::{failure_body, result_body};
pub use decide::{
    Actor, Change, Decision, Facts, Final, Refused, RunChange, Vote, VoteKind, decide,
};
pub use live::{Intent, LiveRun, Phase};
pub use machine::{Command, Event, History, Outcome, Run, Standing, Start, TaskError};
pub use row::{Attempt, Ending, Record, TaskKey, TaskRow, Then};
pub use status::{ApprovalStatus, RunStatus, TaskStatus};
