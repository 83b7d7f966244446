//! Gates: a task whose turn has come and that people must let go on.

use std::collections::BTreeSet;

use super::task::{Passage, State};
use super::{Command, Run, TaskError};
use crate::Micros;
use crate::approval::{Ask, Asked, Subject};
use crate::binding::shortened;

impl Run {
    /// Whether the task at a position may go on: it has no gate, or its gate is open; an error if it is shut.
    /// A gate that was not asked for is asked for with the next record, in which or before which all it depends
    /// on is recorded.
    pub(super) fn passes(&mut self, position: usize, now: Micros) -> Result<bool, TaskError> {
        let Some(gate) = &self.plan.graph.operation(position).approval else {
            return Ok(true);
        };
        let task = &mut self.tasks[position];
        match &task.passage {
            Passage::Open(_) => return Ok(true),
            Passage::Shut { kind, reason } => {
                return Err(TaskError {
                    kind: (*kind).to_owned(),
                    message: reason.clone(),
                    retryable: false,
                });
            }
            Passage::Asked => {}
            Passage::Unasked => {
                task.passage = Passage::Asked;
                let subject = Subject::Gate(self.key(position));
                let name = self.plan.graph.key(position);
                let origin = self.plan.head.origin();
                let asked = Asked::new(subject, &name, &gate.policy, &origin, now);
                self.record.asks.push(asked);
                self.record.urgent = true;
            }
        }
        self.tasks[position].state = State::Gated;
        Ok(false)
    }

    /// What was decided about gates. Each is a question of its own; those still open stay as they are.
    pub(super) fn answered(&mut self, asks: &[Ask]) {
        for (position, passage) in self.passages(asks) {
            let task = &mut self.tasks[position];
            if task.state == State::Gated && passage != Passage::Asked {
                task.passage = passage;
                task.state = State::Waiting;
                self.ready.push_back(position as u32);
            }
        }
    }

    /// Puts the gates where their rows say they are.
    pub(super) fn remember_gates(&mut self, asks: &[Ask]) {
        for (position, passage) in self.passages(asks) {
            self.tasks[position].passage = passage;
        }
    }

    /// Gates that are not answered are not asked for any more. Those of an earlier owner are among them, whose
    /// tasks may not have had their turn here.
    pub(super) fn withdraw_gates(&mut self) {
        let asks = self.record.asks.drain(..);
        let unsent: BTreeSet<Subject> = asks.map(|asked| asked.ask.subject).collect();
        for position in 0..self.tasks.len() {
            let key = self.key(position);
            let task = &mut self.tasks[position];
            if task.passage != Passage::Asked {
                continue;
            }
            task.passage = Passage::Unasked;
            if task.state == State::Gated {
                task.state = State::Waiting;
            }
            if !unsent.contains(&Subject::Gate(key)) {
                self.record.withdrawn.push(key);
            }
        }
    }

    /// Asks to be told of gates that may have been answered. An answer of the journal tells that something
    /// was signalled, but not what: a run that parked on it would sleep through the answer of a gate.
    pub(super) fn look(&mut self, commands: &mut Vec<Command>) {
        let newest = self.standing.inbox_seq;
        if self.is_behind() && self.looked < newest && self.gated().is_some() {
            self.looked = newest;
            commands.push(Command::Look);
        }
    }

    /// Whether the inbox has grown since the gates were read.
    pub(super) fn is_behind(&self) -> bool {
        self.standing.inbox_seq > self.heard
    }

    fn passages(&self, asks: &[Ask]) -> Vec<(usize, Passage)> {
        asks.iter()
            .filter_map(|ask| match ask.subject {
                Subject::Gate(key) => {
                    Some((self.plan.graph.position(key.index)?, Passage::of(ask)))
                }
                Subject::Run => None,
            })
            .collect()
    }

    /// The tasks that wait at their gates, as `waiting_for` says it; none if none does.
    pub(super) fn gated(&self) -> Option<String> {
        let mut names = (0..self.tasks.len())
            .filter(|at| self.tasks[*at].state == State::Gated)
            .map(|at| shortened(&self.plan.graph.operation(at).name, 80));
        let first = names.next()?;
        Some(match names.count() {
            0 => format!("approval of `{first}`"),
            more => format!("approval of `{first}` and {more} more"),
        })
    }
}
