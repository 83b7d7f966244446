//! One attempt under way: how to stop it, and whether it really began.

use std::panic::AssertUnwindSafe;
use std::sync::Arc;
use std::sync::atomic::{AtomicU8, Ordering};

use futures_util::FutureExt;
use neena_engine::Micros;
use neena_engine::plan::Operation;
use neena_engine::run::{Outcome, Start, TaskError, TaskKey};
use tokio::sync::OwnedSemaphorePermit;
use tokio_util::sync::CancellationToken;

use crate::Shared;
use crate::executors::Call;

/// A result larger than this many bytes fails its attempt.
pub(crate) const RESULT_LIMIT: usize = 1 << 20;

const WAITS: u8 = 0;
const BEGUN: u8 = 1;
const WITHDRAWN: u8 = 2;

/// The driver's hold on an attempt.
#[derive(Clone, Debug, Default)]
pub(crate) struct Attempt {
    pub stop: CancellationToken,
    turn: Arc<AtomicU8>,
}

/// How an attempt ended.
#[derive(Debug)]
pub(crate) struct Ended {
    pub key: TaskKey,
    pub attempt: u32,
    pub started: Micros,
    pub outcome: Outcome,
}

impl Attempt {
    /// Whether it got its slot and was handed to an executor.
    pub fn began(&self) -> bool {
        self.turn.load(Ordering::Acquire) == BEGUN
    }

    /// Keeps it from beginning; false if it has begun.
    pub fn withdraw(&self) -> bool {
        self.leave_waiting(WITHDRAWN) != BEGUN
    }

    /// How it stood before.
    fn leave_waiting(&self, to: u8) -> u8 {
        let moved = self
            .turn
            .compare_exchange(WAITS, to, Ordering::AcqRel, Ordering::Acquire);
        moved.unwrap_or_else(|was| was)
    }

    /// Waits for a slot where the task takes one, then runs it.
    pub async fn run(self, shared: Arc<Shared>, operation: Operation, call: Call) -> Ended {
        let (key, attempt) = (call.key, call.attempt);
        let ended = |started, outcome| Ended {
            key,
            attempt,
            started,
            outcome,
        };
        let slot = if takes_slot(&operation) {
            tokio::select! {
                biased;
                () = self.stop.cancelled() => {
                    return ended(shared.clock.now(), Outcome::Withdrawn);
                }
                slot = slot(&shared) => slot,
            }
        } else {
            None
        };
        if self.leave_waiting(BEGUN) != WAITS {
            return ended(shared.clock.now(), Outcome::Withdrawn);
        }
        let started = shared.clock.now();
        let run = shared.executors.run(operation.kind, call, self.stop);
        // A run must not wait for ever for an executor that is gone.
        let outcome = AssertUnwindSafe(run)
            .catch_unwind()
            .await
            .unwrap_or_else(|_| panicked());
        drop(slot);
        ended(started, judged(outcome, operation.repeatable))
    }
}

/// Waits for a slot. Runs are taken only while few wait, so the wait is counted.
async fn slot(shared: &Shared) -> Option<OwnedSemaphorePermit> {
    if let Ok(slot) = shared.slots.clone().try_acquire_owned() {
        return Some(slot);
    }
    let _waiting = Waiting::new(shared);
    shared.slots.clone().acquire_owned().await.ok()
}

/// An attempt that waits for a slot, as long as it does.
struct Waiting<'a>(&'a Shared);

impl Waiting<'_> {
    fn new(shared: &Shared) -> Waiting<'_> {
        shared.waiting.fetch_add(1, Ordering::AcqRel);
        Waiting(shared)
    }
}

impl Drop for Waiting<'_> {
    fn drop(&mut self) {
        self.0.waiting.fetch_sub(1, Ordering::AcqRel);
        self.0.freed.notify_one();
    }
}

/// Built-in pure tasks take microseconds and no slot.
fn takes_slot(operation: &Operation) -> bool {
    !(operation.pure && operation.kind == neena_engine::flow::Kind::BuiltIn)
}

/// The outcome of an attempt whose executor broke down.
fn panicked() -> Outcome {
    Outcome::Failed(TaskError {
        kind: "executor_panicked".into(),
        message: "the executor of this task broke down; the server's log says where".into(),
        retryable: false,
    })
}

/// Ends that do not tell what the attempt did outside.
const UNKNOWN_EFFECT: [&str; 3] = ["timeout", "host_crashed", "host_protocol"];

/// An outcome as it may be recorded and retried.
fn judged(outcome: Outcome, repeatable: bool) -> Outcome {
    match outcome {
        Outcome::Completed(result) if result.text().len() > RESULT_LIMIT => {
            Outcome::Failed(TaskError {
                kind: "result_too_large".into(),
                message: format!(
                    "the result has {} bytes; at most {RESULT_LIMIT} can be recorded",
                    result.text().len()
                ),
                retryable: false,
            })
        }
        Outcome::Failed(error) if !repeatable && UNKNOWN_EFFECT.contains(&error.kind.as_str()) => {
            Outcome::Failed(TaskError {
                retryable: false,
                ..error
            })
        }
        outcome => outcome,
    }
}

/// The call behind a start.
pub(crate) fn call(run: neena_engine::ids::RunId, operation: &Operation, start: Start) -> Call {
    Call {
        run,
        key: start.key,
        attempt: start.attempt,
        integration: operation.integration.clone(),
        method: operation.method.clone(),
        code_digest: operation.code_digest.clone(),
        arguments: start.arguments,
        timeout: start.timeout,
    }
}
