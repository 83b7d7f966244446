//! Gates: a task whose turn has come and that people must let go on.

use super::task::{Passage, State};
use super::{Run, TaskError};
use crate::Micros;
use crate::approval::{Ask, Asked, Subject};

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
            .map(|at| self.plan.graph.operation(at).name.as_str());
        let first = names.next()?;
        Some(match names.count() {
            0 => format!("approval of `{first}`"),
            more => format!("approval of `{first}` and {more} more"),
        })
    }
}
