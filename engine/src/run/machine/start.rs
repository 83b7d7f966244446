//! From "all inputs have ended" to a started attempt.

use std::time::Duration;

use super::task::State;
use super::{Command, Run, Start, TaskError};
use crate::Micros;
use crate::binding::BindError;
use crate::flow::TriggerRule;
use crate::run::{TaskRow, TaskStatus};

/// What the inputs' outcomes mean for a task.
#[derive(PartialEq, Eq)]
enum Verdict {
    Go,
    Skip,
}

/// What a task does when its turn has come.
enum Turn {
    Start,
    Skip,
    /// It waits at its gate.
    Gated,
}

impl Run {
    /// Looks at every task whose inputs have ended or whose next attempt is due: skips it, fails it, or
    /// binds and holds it. A worklist, so that depth costs no stack.
    pub(super) fn walk(&mut self, now: Micros, commands: &mut Vec<Command>) {
        self.wake_delayed(now);
        while let Some(position) = self.ready.pop_front() {
            let at = position as usize;
            if self.stopping.is_some() || self.tasks[at].state != State::Waiting {
                continue;
            }
            if self.verdict(at) == Verdict::Skip {
                self.skip(at, now);
                continue;
            }
            match self.turn(at, now) {
                Ok(Turn::Start) => self.hold(at, now),
                Ok(Turn::Skip) => self.skip(at, now),
                Ok(Turn::Gated) => {}
                Err(error) => {
                    self.fail(at, &error, now);
                    self.stop_after_failure(now, commands);
                }
            }
        }
    }

    /// What a task whose inputs have ended does: it is wanted, it is let go on, and only then is it bound, for
    /// its arguments may say what its gate was answered.
    fn turn(&mut self, position: usize, now: Micros) -> Result<Turn, TaskError> {
        if self.tasks[position].arguments.is_some() {
            return Ok(Turn::Start);
        }
        let wanted = self.plan.graph.when(position, self);
        if !wanted.map_err(|error| self.unbound(position, &error))? {
            return Ok(Turn::Skip);
        }
        if !self.passes(position, now)? {
            return Ok(Turn::Gated);
        }
        let bound = self.plan.graph.bind(position, self);
        let bound = bound.map_err(|error| self.unbound(position, &error))?;
        self.tasks[position].arguments = Some(bound.arguments);
        self.tasks[position].prep_answer = Some(bound.prep_answer);
        Ok(Turn::Start)
    }

    /// An attempt that failed before it could be made.
    fn unbound(&mut self, position: usize, error: &BindError) -> TaskError {
        self.tasks[position].made += 1;
        TaskError {
            kind: error.kind().to_owned(),
            message: error.to_string(),
            retryable: false,
        }
    }

    fn wake_delayed(&mut self, now: Micros) {
        while let Some(&(due, position)) = self.delayed.first() {
            if due > now || !self.may_start() {
                break;
            }
            self.delayed.pop_first();
            self.tasks[position as usize].state = State::Waiting;
            self.ready.push_back(position);
        }
    }

    fn verdict(&self, position: usize) -> Verdict {
        let upstream = self.plan.graph.upstream(position);
        let (mut completed, mut failed) = (0, 0);
        for &input in upstream {
            match self.tasks[input as usize].outcome() {
                Some(TaskStatus::Completed) => completed += 1,
                Some(TaskStatus::Failed | TaskStatus::Cancelled) => failed += 1,
                _ => {}
            }
        }
        let go = match self.plan.graph.operation(position).trigger_rule {
            TriggerRule::AllSuccess => completed == upstream.len(),
            TriggerRule::AllDone => true,
            TriggerRule::AnySuccess => completed > 0 || upstream.is_empty(),
            TriggerRule::NoneFailed => failed == 0,
        };
        if go { Verdict::Go } else { Verdict::Skip }
    }

    fn hold(&mut self, position: usize, now: Micros) {
        self.tasks[position].state = State::Held;
        let operation = self.plan.graph.operation(position);
        let (pure, repeatable) = (operation.pure, operation.repeatable);
        let mut needs = if pure { 0 } else { self.tasks[position].needs };
        if self.may_start() {
            self.announce(position, now);
            if !repeatable {
                needs = self.next_seq();
            }
        }
        self.held.insert((needs, position as u32));
    }

    /// Starts what is held and enabled, oldest need first.
    pub(super) fn release(&mut self, now: Micros, commands: &mut Vec<Command>) {
        while self.may_start()
            && let Some(&(needs, position)) = self.held.first()
            && needs <= self.durable
        {
            self.held.pop_first();
            let at = position as usize;
            if !self.tasks[at].announced {
                self.announce(at, now);
                if !self.plan.graph.operation(at).repeatable {
                    self.held.insert((self.next_seq(), position));
                    continue;
                }
            }
            commands.push(Command::Start(self.start(at, now)));
        }
    }

    fn start(&mut self, position: usize, now: Micros) -> Start {
        let key = self.key(position);
        let timeout = self
            .plan
            .graph
            .operation(position)
            .timeout_ms
            .map(Duration::from_millis);
        self.running += 1;
        let task = &mut self.tasks[position];
        task.state = State::Running;
        task.start_time = Some(now);
        let arguments = task.arguments.clone().unwrap_or_else(crate::Json::null);
        Start {
            key,
            position,
            attempt: task.made + 1,
            arguments,
            timeout,
        }
    }

    /// Adds the `in_progress` row of the coming attempt to the record.
    fn announce(&mut self, position: usize, now: Micros) {
        let task = &mut self.tasks[position];
        task.announced = true;
        task.listed = true;
        task.start_time = Some(now);
        let row = self.row(position, TaskStatus::InProgress);
        self.record.rows.push(TaskRow {
            attempt: self.tasks[position].made + 1,
            error: None,
            ..row
        });
    }

    /// Takes an announced attempt back: it was never started and does not count.
    pub(super) fn unannounce(&mut self, position: usize) {
        let task = &mut self.tasks[position];
        if !std::mem::take(&mut task.announced) {
            return;
        }
        task.start_time = None;
        let row = self.row(position, TaskStatus::Pending);
        self.record.rows.push(row);
    }
}
