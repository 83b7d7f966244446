//! One attempt under way: how to stop it, and whether it really began.

use std::panic::AssertUnwindSafe;
use std::sync::Arc;
use std::sync::atomic::{AtomicU8, Ordering};
use std::time::Duration;

use futures_util::FutureExt;
use metrics::{counter, histogram};
use neena_engine::Micros;
use neena_engine::flow::Kind;
use neena_engine::ids::OrganizationId;
use neena_engine::plan::Operation;
use neena_engine::run::{Outcome, Start, TaskError, TaskKey};
use neena_store::Held;
use tokio_util::sync::CancellationToken;

use crate::Shared;
use crate::executors::Call;
use crate::remote::{Sending, Went};
use crate::slots::{Turn, Wants};

/// A result larger than this many bytes fails its attempt.
pub(crate) const RESULT_LIMIT: usize = 1 << 20;

/// How long a task rests that could not be sent, at first and at most.
const REST: Duration = Duration::from_millis(250);
const LONGEST_REST: Duration = Duration::from_secs(5);

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

    /// It begins now; false if it was withdrawn before.
    pub fn begin(&self) -> bool {
        self.leave_waiting(BEGUN) != WITHDRAWN
    }

    /// How it stood before.
    fn leave_waiting(&self, to: u8) -> u8 {
        let moved = self
            .turn
            .compare_exchange(WAITS, to, Ordering::AcqRel, Ordering::Acquire);
        moved.unwrap_or_else(|was| was)
    }

    /// Waits for its turn where the task takes a slot, then runs it: here, or where its turn says.
    pub async fn run(self, shared: Arc<Shared>, task: Task, call: Call) -> Ended {
        let (key, attempt) = (call.key, call.attempt);
        let (started, outcome) = self.outcome(&shared, &task, call).await;
        // What takes microseconds is not worth counting one by one.
        if takes_slot(&task.operation) && outcome != Outcome::Withdrawn {
            let kind = kind_word(task.operation.kind);
            let took = shared.clock.now().since(started);
            histogram!("neena_attempt_seconds", "kind" => kind).record(took);
            counter!("neena_attempts_total", "kind" => kind, "outcome" => word(&outcome))
                .increment(1);
            if attempt > 1 {
                counter!("neena_retries_total").increment(1);
            }
        }
        Ended {
            key,
            attempt,
            started,
            outcome,
        }
    }

    async fn outcome(&self, shared: &Shared, task: &Task, call: Call) -> (Micros, Outcome) {
        let mut wants = task.wants.clone();
        let mut rests = Duration::ZERO;
        let slot = loop {
            if !takes_slot(&task.operation) {
                break None;
            }
            let turn = tokio::select! {
                biased;
                () = self.stop.cancelled() => return (shared.clock.now(), Outcome::Withdrawn),
                turn = shared.slots.turn(call.run, wants.clone()) => turn,
            };
            if !task.operation.pure {
                tokio::select! {
                    biased;
                    () = self.stop.cancelled() => return (shared.clock.now(), Outcome::Withdrawn),
                    () = shared.lease() => {}
                }
            }
            let place = match turn {
                Turn::Here(slot) => break Some(slot),
                Turn::Elsewhere(place) => place,
            };
            let sending = Sending {
                shared,
                attempt: self,
                organization: task.organization,
                operation: &task.operation,
                call: &call,
                place,
            };
            match sending.go().await {
                Went::Ended { started, outcome } => return (started, outcome),
                Went::Withdrawn => return (shared.clock.now(), Outcome::Withdrawn),
                // What can run here waits for a slot here; anything else tries again.
                Went::NotSent if wants.here => wants = Wants::HERE,
                Went::NotSent => {
                    rests = (rests * 2).clamp(REST, LONGEST_REST);
                    tokio::select! {
                        biased;
                        () = self.stop.cancelled() => return (shared.clock.now(), Outcome::Withdrawn),
                        () = tokio::time::sleep(rests) => {}
                    }
                }
            }
        };
        if !self.begin() {
            return (shared.clock.now(), Outcome::Withdrawn);
        }
        let started = shared.clock.now();
        let operation = &task.operation;
        let run = shared
            .executors
            .run(operation.kind, call, self.stop.clone());
        // A run must not wait for ever for an executor that is gone.
        let outcome = AssertUnwindSafe(run)
            .catch_unwind()
            .await
            .unwrap_or_else(|_| panicked());
        drop(slot);
        (started, judged(outcome, operation.repeatable))
    }
}

/// What is attempted, for whom, and where it may run.
#[derive(Debug)]
pub(crate) struct Task {
    pub operation: Operation,
    pub organization: OrganizationId,
    pub wants: Wants,
}

/// Built-in pure tasks take microseconds and no slot.
fn takes_slot(operation: &Operation) -> bool {
    !(operation.pure && operation.kind == Kind::BuiltIn)
}

fn kind_word(kind: Kind) -> &'static str {
    match kind {
        Kind::BuiltIn => "built_in",
        Kind::Python => "python",
        Kind::External => "external",
    }
}

fn word(outcome: &Outcome) -> &'static str {
    match outcome {
        Outcome::Completed(_) => "completed",
        Outcome::Failed(_) => "failed",
        Outcome::Stopped => "stopped",
        Outcome::Withdrawn => "withdrawn",
    }
}

/// The outcome of an attempt whose executor broke down.
pub(crate) fn panicked() -> Outcome {
    Outcome::Failed(TaskError {
        kind: "executor_panicked".into(),
        message: "the executor of this task broke down; the server's log says where".into(),
        retryable: false,
    })
}

/// Ends that do not tell what the attempt did outside.
const UNKNOWN_EFFECT: [&str; 3] = ["timeout", "host_crashed", "host_protocol"];

/// An outcome as it may be recorded and retried.
pub(crate) fn judged(outcome: Outcome, repeatable: bool) -> Outcome {
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
pub(crate) fn call(held: &Held, operation: &Operation, start: Start) -> Call {
    Call {
        run: held.run,
        epoch: held.epoch,
        key: start.key,
        attempt: start.attempt,
        integration: operation.integration.clone(),
        method: operation.method.clone(),
        code_digest: operation.code_digest.clone(),
        arguments: start.arguments,
        timeout: start.timeout,
    }
}
