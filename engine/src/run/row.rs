//! What the owner of a run asks to have recorded.

use std::sync::Arc;

use super::{RunStatus, TaskStatus};
use crate::approval::Asked;
use crate::ids::TaskRunId;
use crate::{Json, Micros};

/// One operation of a run and, where it is fanned out, one item of it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct TaskKey {
    /// The operation's `index` in the flow.
    pub index: u32,
    /// Its place in a `for_each` list; none without one.
    pub item: Option<u32>,
}

/// A row of `task_runs`. The upsert replaces only rows that are not an outcome yet.
#[derive(Clone, Debug, PartialEq)]
pub struct TaskRow {
    pub key: TaskKey,
    pub id: TaskRunId,
    pub status: TaskStatus,
    /// The attempt the row tells of, from 1, counted over all rounds; 0 for a task that was skipped, or kept from
    /// starting by its gate.
    pub attempt: u32,
    /// Attempts made in earlier rounds: the retry policy counts from here.
    pub attempts_before: u32,
    pub start_time: Option<Micros>,
    pub end_time: Option<Micros>,
    /// When the next attempt is due, while the row is `pending` between two attempts.
    pub due_at: Option<Micros>,
    pub result: Option<Json>,
    /// `{"type", "message"}`.
    pub error: Option<Json>,
    /// `{"parameters": [{"name", "value", "explanation"}]}`.
    pub prep_answer: Option<Json>,
}

/// A row of `task_attempts`: a failed attempt that was followed by another one.
#[derive(Clone, Debug, PartialEq)]
pub struct Attempt {
    pub key: TaskKey,
    pub attempt: u32,
    pub start_time: Option<Micros>,
    pub end_time: Option<Micros>,
    pub error: Json,
}

/// How a run ended: written with the last state.
#[derive(Clone, Debug, PartialEq)]
pub struct Ending {
    pub status: RunStatus,
    /// `flow_result.body`.
    pub body: Arc<str>,
    /// Why, when it did not complete.
    pub reason: Option<Arc<str>>,
}

/// What becomes of the run with a record.
#[derive(Clone, Debug, PartialEq, Default)]
pub enum Then {
    /// The owner keeps it.
    #[default]
    Hold,
    /// Nobody owns it until `wake_at` or a signal.
    Park {
        wake_at: Option<Micros>,
        reason: Option<Arc<str>>,
    },
    /// It is over.
    Finish(Ending),
    /// A cancelled run is cleaned up; its status was written by the cancel.
    Close { body: Arc<str> },
    /// Given back: any worker may claim it.
    Yield,
}

/// Rows to be recorded together. Records of a run take effect in the order of `seq`.
#[derive(Clone, Debug, PartialEq, Default)]
pub struct Record {
    /// Number of this record within the owner's hold of the run, from 1.
    pub seq: u64,
    pub rows: Vec<TaskRow>,
    pub attempts: Vec<Attempt>,
    /// Gates that are asked for from now on.
    pub asks: Vec<Asked>,
    /// Gates that are not asked for any more: the run goes no further. Where records are put together, one may be
    /// among the `asks` as well; it goes.
    pub withdrawn: Vec<TaskKey>,
    pub then: Then,
    /// Whether somebody waits for it to be durable; if not it rides along within 50 ms.
    pub urgent: bool,
}
