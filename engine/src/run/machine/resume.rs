//! Taking over: what is recorded is fed through the same states a live run goes through.

use super::task::State;
use super::{History, Run, Stopping, TaskError};
use crate::Micros;
use crate::flow::OnFailure;
use crate::run::TaskStatus;

impl Run {
    /// Puts every task where its row says it was. In-progress rows are attempts lost with their worker.
    pub(super) fn remember(&mut self, history: &History) {
        self.remember_rows(history);
        self.remember_gates(&history.asks);
    }

    fn remember_rows(&mut self, history: &History) {
        for row in &history.rows {
            let Some(position) = self.plan.graph.position(row.key.index) else {
                continue;
            };
            let task = &mut self.tasks[position];
            task.listed = !row.status.is_outcome();
            task.before = row.attempts_before;
            task.error.clone_from(&row.error);
            match row.status {
                TaskStatus::Pending => {
                    task.made = row.attempt;
                    if let Some(due) = row.due_at {
                        task.state = State::Delayed;
                        self.delayed.insert((due, position as u32));
                    }
                }
                TaskStatus::InProgress => {
                    task.made = row.attempt.saturating_sub(1);
                    task.start_time = row.start_time;
                    task.prep_answer.clone_from(&row.prep_answer);
                    task.announced = true;
                }
                outcome => {
                    task.made = row.attempt;
                    task.result.clone_from(&row.result);
                    task.state = State::Done(outcome);
                    self.open -= 1;
                    for &next in self.plan.graph.downstream(position) {
                        self.tasks[next as usize].inputs -= 1;
                    }
                }
            }
        }
    }

    /// The first step of a hold: what was lost with an earlier worker, and what is ready.
    pub(super) fn take_over(&mut self, now: Micros) {
        for position in 0..self.tasks.len() {
            let task = &mut self.tasks[position];
            if task.announced && !self.plan.graph.operation(position).repeatable {
                task.announced = false;
                task.made += 1;
                self.fail(position, &outcome_unknown(), now);
            }
        }
        if self.must_stop() {
            self.stopping = Some(Stopping::Failed);
            self.give_up(Stopping::Failed, now);
            return;
        }
        for position in 0..self.tasks.len() {
            let task = &mut self.tasks[position];
            task.announced = false;
            if task.state == State::Waiting && task.inputs == 0 {
                self.ready.push_back(position as u32);
            }
        }
    }

    fn must_stop(&self) -> bool {
        self.plan.graph.body().on_failure == OnFailure::Stop
            && self
                .tasks
                .iter()
                .any(|task| task.outcome() == Some(TaskStatus::Failed))
    }
}

fn outcome_unknown() -> TaskError {
    TaskError {
        kind: "outcome_unknown".into(),
        message: "the attempt was lost with its worker, and this task must not run twice".into(),
        retryable: false,
    }
}
