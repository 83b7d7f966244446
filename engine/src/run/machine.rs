//! What the owner of a run decides: events in, commands out. (Types first; the walk follows.)

use std::time::Duration;

use super::{Intent, Phase, Record, TaskKey, TaskRow};
use crate::{Json, Micros};

/// Why an attempt failed.
#[derive(Clone, Debug, PartialEq)]
pub struct TaskError {
    /// A stable word: `timeout`, `exception`, `binding`, `worker_lost`, `outcome_unknown`, `result_too_large`, …
    pub kind: String,
    pub message: String,
    /// Whether the retry policy may try again.
    pub retryable: bool,
}

/// How an attempt ended.
#[derive(Clone, Debug, PartialEq)]
pub enum Outcome {
    Completed(Json),
    Failed(TaskError),
    /// Stopped because the run was cancelled or timed out.
    Stopped,
}

/// What is stored of a run that was claimed before.
#[derive(Clone, Debug, Default)]
pub struct History {
    pub rows: Vec<TaskRow>,
}

/// How the live row stood when a commit or a re-read answered.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Standing {
    pub phase: Phase,
    pub intent: Option<Intent>,
}

/// What happened.
#[derive(Clone, Debug)]
pub enum Event {
    /// The claim was answered; always the first event.
    Claimed(Standing),
    /// An attempt ended.
    Finished { key: TaskKey, attempt: u32, outcome: Outcome },
    /// Every record up to `seq` is durably committed; `applied` tells whether that record's `then` took effect.
    Recorded { seq: u64, standing: Standing, applied: bool },
    /// The live row was read again after a signal.
    Signalled(Standing),
    /// Time passed: something asked for by [`Command::WakeAt`] is due.
    Due,
}

/// An attempt to start.
#[derive(Clone, Debug)]
pub struct Start {
    pub key: TaskKey,
    pub position: usize,
    pub attempt: u32,
    pub arguments: Json,
    pub timeout: Option<Duration>,
}

/// What to do.
#[derive(Clone, Debug)]
pub enum Command {
    /// Run an attempt.
    Start(Start),
    /// Stop an attempt that was started; it ends as [`Outcome::Stopped`].
    Stop(TaskKey),
    /// Hand this to the journal; at most one per event.
    Record(Record),
    /// Send [`Event::Due`] at this time; replaces the earlier wish.
    WakeAt(Micros),
}
