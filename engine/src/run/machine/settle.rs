//! From the end of an attempt to an outcome, a retry, or a stop.

use serde_json::json;

use super::task::State;
use super::{Command, Outcome, Run, Stopping, TaskError};
use crate::flow::OnFailure;
use crate::ids::TaskRunId;
use crate::run::{Attempt, TaskKey, TaskRow, TaskStatus};
use crate::{Json, Micros};

/// What became of a task whose next attempt never began.
const NOT_STARTED: &str = "the run ended before its next attempt";

impl Run {
    pub(super) fn finished(
        &mut self,
        key: TaskKey,
        attempt: u32,
        started: Micros,
        outcome: Outcome,
        now: Micros,
        commands: &mut Vec<Command>,
    ) {
        let Some(position) = self.plan.graph.position(key.index) else {
            return;
        };
        let task = &mut self.tasks[position];
        if task.state != State::Running || task.made + 1 != attempt {
            return;
        }
        self.running -= 1;
        if outcome == Outcome::Withdrawn {
            return self.withdrawn(position, now);
        }
        task.made = attempt;
        task.start_time = Some(started);
        match outcome {
            Outcome::Completed(result) => {
                task.result = Some(result);
                task.error = None;
                self.settle(position, TaskStatus::Completed, now);
            }
            Outcome::Failed(error) if self.may_retry(position, &error) => {
                self.retry_later(position, &error, now);
            }
            Outcome::Failed(error) => {
                self.fail(position, &error, now);
                self.stop_after_failure(now, commands);
            }
            Outcome::Stopped | Outcome::Withdrawn => {
                self.cancel(position, "stopped", "stopped with its run", now);
            }
        }
    }

    /// An attempt that never began does not count.
    fn withdrawn(&mut self, position: usize, now: Micros) {
        let task = &mut self.tasks[position];
        task.start_time = None;
        if task.made > 0 {
            self.cancel(position, "not_started", NOT_STARTED, now);
        } else {
            task.error = None;
            self.skip(position, now);
        }
    }

    fn may_retry(&self, position: usize, error: &TaskError) -> bool {
        let task = &self.tasks[position];
        error.retryable
            && self.stopping.is_none()
            && task.made - task.before < self.plan.graph.operation(position).retry.max_attempts
    }

    fn retry_later(&mut self, position: usize, error: &TaskError, now: Micros) {
        let key = self.key(position);
        let retry = self.plan.graph.operation(position).retry;
        let made = self.tasks[position].made;
        let due = now.after(retry.delay(self.id, key.index, key.item, made));
        let error = error_json(&error.kind, &error.message);
        let needs = self.next_seq();
        let task = &mut self.tasks[position];
        task.state = State::Delayed;
        task.announced = false;
        task.listed = true;
        task.needs = task.needs.max(needs);
        task.error = Some(error.clone());
        let attempt = Attempt {
            key,
            attempt: made,
            start_time: task.start_time,
            end_time: Some(now),
            error,
        };
        self.record.attempts.push(attempt);
        let row = self.row(position, TaskStatus::Pending);
        self.record.rows.push(TaskRow {
            due_at: Some(due),
            ..row
        });
        self.delayed.insert((due, position as u32));
        self.record.urgent |= !self.plan.graph.operation(position).pure;
    }

    pub(super) fn fail(&mut self, position: usize, error: &TaskError, now: Micros) {
        self.tasks[position].error = Some(error_json(&error.kind, &error.message));
        self.settle(position, TaskStatus::Failed, now);
    }

    pub(super) fn cancel(&mut self, position: usize, kind: &str, message: &str, now: Micros) {
        self.tasks[position].error = Some(error_json(kind, message));
        self.settle(position, TaskStatus::Cancelled, now);
    }

    pub(super) fn skip(&mut self, position: usize, now: Micros) {
        self.settle(position, TaskStatus::Skipped, now);
    }

    /// Gives a task its outcome and tells its successors.
    fn settle(&mut self, position: usize, status: TaskStatus, now: Micros) {
        let seq = self.next_seq();
        let task = &mut self.tasks[position];
        task.state = State::Done(status);
        self.open -= 1;
        let row = self.row(position, status);
        self.record.rows.push(TaskRow {
            end_time: Some(now),
            ..row
        });
        let operation = self.plan.graph.operation(position);
        self.record.urgent |= !operation.pure && status != TaskStatus::Skipped;
        self.tasks[position].arguments = None;
        for &next in self.plan.graph.downstream(position) {
            let successor = &mut self.tasks[next as usize];
            successor.inputs -= 1;
            successor.needs = successor.needs.max(seq);
            if successor.inputs == 0 {
                self.ready.push_back(next);
            }
        }
    }

    pub(super) fn stop_after_failure(&mut self, now: Micros, commands: &mut Vec<Command>) {
        if self.plan.graph.body().on_failure == OnFailure::Stop {
            self.stop(Stopping::Failed, now, commands);
        }
    }

    /// From here on nothing new starts. After a failure what runs may finish; otherwise it is stopped.
    pub(super) fn stop(&mut self, why: Stopping, now: Micros, commands: &mut Vec<Command>) {
        match self.stopping {
            None => {}
            Some(Stopping::Failed) if why != Stopping::Failed => {}
            Some(_) => return,
        }
        self.stopping = Some(why);
        self.give_up(why, now);
        for position in 0..self.tasks.len() {
            if self.tasks[position].state == State::Running {
                let key = self.key(position);
                commands.push(match why {
                    Stopping::Failed => Command::Withdraw(key),
                    _ => Command::Stop(key),
                });
            }
        }
    }

    /// Ends what was listed and will not be started (again) in a run that stops. Tasks nobody saw
    /// stay unlisted.
    pub(super) fn give_up(&mut self, why: Stopping, now: Micros) {
        self.ready.clear();
        self.held.clear();
        self.delayed.clear();
        self.withdraw_gates();
        for position in 0..self.tasks.len() {
            let task = &mut self.tasks[position];
            let listed = task.listed;
            match task.state {
                State::Delayed if why == Stopping::Cancelled => {
                    self.settle(position, TaskStatus::Cancelled, now);
                }
                State::Delayed => self.settle(position, TaskStatus::Failed, now),
                State::Waiting | State::Held if listed && why == Stopping::Condemned => {
                    let message = "its run brought down the worker time and again";
                    self.cancel(position, "worker_crash", message, now);
                }
                State::Waiting | State::Held if listed && task.made > 0 => {
                    self.cancel(position, "not_started", NOT_STARTED, now);
                }
                State::Waiting | State::Held if listed => {
                    task.start_time = None;
                    task.error = None;
                    self.skip(position, now);
                }
                State::Held => task.state = State::Waiting,
                State::Waiting | State::Gated | State::Running | State::Done(_) => {}
            }
        }
        self.ready.clear();
    }

    /// The row of a task as it stands.
    pub(super) fn row(&self, position: usize, status: TaskStatus) -> TaskRow {
        let key = self.key(position);
        let task = &self.tasks[position];
        TaskRow {
            key,
            id: TaskRunId::of(self.id, key.index, key.item),
            status,
            attempt: task.made,
            attempts_before: task.before,
            start_time: task.start_time,
            end_time: None,
            due_at: None,
            result: task.result.clone(),
            error: task.error.clone(),
            prep_answer: task.prep_answer.clone(),
        }
    }
}

/// A task's error as the contract prints it.
pub(super) fn error_json(kind: &str, message: &str) -> Json {
    Json::of(&json!({ "type": kind, "message": message }))
}
