//! When nothing runs and nothing can start: finish, close, park or give back.

use std::sync::Arc;
use std::time::Duration;

use serde::Deserialize;

use super::task::State;
use super::{Run, Stopping};
use crate::Micros;
use crate::run::body::{failure_body, result_body, timeout_body};
use crate::run::{Ending, Intent, Phase, RunStatus, TaskKey, TaskStatus, Then};

/// Waits shorter than this stay in memory.
const PARK_FROM: Duration = Duration::from_secs(5);

impl Run {
    pub(super) fn end(&mut self, now: Micros) {
        if self.last.is_some() || self.running > 0 {
            return;
        }
        self.record.then = match self.stopping {
            Some(Stopping::HandedBack) => Then::Yield,
            _ if self.standing.phase == Phase::Closing => Then::Close {
                body: "The run was cancelled.".into(),
            },
            Some(_) => Then::Finish(self.ending()),
            None if self.open == 0 => Then::Finish(self.ending()),
            None => self.park(now),
        };
    }

    /// Parks the run if all it waits for is far away or people's, or if it is paused.
    fn park(&mut self, now: Micros) -> Then {
        if self.standing.intent == Some(Intent::Pause) {
            self.unannounce_held();
            return Then::Park {
                wake_at: None,
                reason: None,
            };
        }
        let due = self.delayed.first().map(|(due, _)| *due);
        let soon = due.is_some_and(|due| due.since(now) < PARK_FROM);
        if !self.held.is_empty() || soon {
            return Then::Hold;
        }
        let gated = self.gated();
        if due.is_none() && gated.is_none() || gated.is_some() && self.is_behind() {
            return Then::Hold;
        }
        Then::Park {
            wake_at: due.into_iter().chain(self.deadline).min(),
            reason: gated.map(Into::into),
        }
    }

    /// The worker gives the run back: attempts that never started do not count, those under way are lost.
    pub(super) fn hand_back(&mut self, unstarted: &[TaskKey]) {
        if self.last.is_some() {
            return;
        }
        for key in unstarted {
            if let Some(position) = self.plan.graph.position(key.index)
                && self.tasks[position].state == State::Running
            {
                self.unannounce(position);
            }
        }
        self.unannounce_held();
        self.held.clear();
        self.delayed.clear();
        self.ready.clear();
        self.running = 0;
        self.stopping = Some(Stopping::HandedBack);
    }

    /// Held tasks keep their place, should the run go on after all.
    fn unannounce_held(&mut self) {
        let held: Vec<u32> = self.held.iter().map(|(_, position)| *position).collect();
        held.into_iter()
            .for_each(|position| self.unannounce(position as usize));
    }

    fn ending(&self) -> Ending {
        let failed: Vec<(usize, Failure)> = (0..self.tasks.len())
            .filter(|at| self.tasks[*at].outcome() == Some(TaskStatus::Failed))
            .map(|at| (at, self.failure(at)))
            .collect();
        let lines = failed.iter().map(|(at, failure)| {
            let name = self.plan.graph.operation(*at).name.as_str();
            (name, failure.kind.as_str(), failure.message.as_str())
        });
        match (self.stopping, self.deadline) {
            (Some(Stopping::Condemned), _) => failed_as(
                "worker_crash",
                "The run brought down its worker time and again (worker_crash).".into(),
            ),
            (Some(Stopping::Unstorable), _) => failed_as(
                "result_not_storable",
                "The database refused a result of this run (result_not_storable).".into(),
            ),
            (Some(Stopping::TimedOut), Some(deadline)) => {
                failed_as("run_timeout", timeout_body(deadline))
            }
            _ if failed.is_empty() => Ending {
                status: RunStatus::Completed,
                body: self.body(),
                reason: None,
            },
            _ => {
                let body = failure_body(lines);
                let reason = body.lines().next().unwrap_or_default().into();
                Ending {
                    status: RunStatus::Failed,
                    body,
                    reason: Some(reason),
                }
            }
        }
    }

    /// The results of the leaves.
    fn body(&self) -> Arc<str> {
        let graph = &self.plan.graph;
        let leaves = (0..graph.len()).filter(|at| graph.downstream(*at).is_empty());
        let results: Vec<_> = leaves
            .clone()
            .filter_map(|at| {
                let operation = graph.operation(at);
                let result = self.tasks[at].result.as_ref()?;
                Some((operation.name.as_str(), operation.index, result))
            })
            .collect();
        result_body(&results, leaves.count() == 1)
    }

    fn failure(&self, position: usize) -> Failure {
        let error = self.tasks[position].error.as_ref();
        error
            .and_then(|error| serde_json::from_str(error.text()).ok())
            .unwrap_or_default()
    }
}

#[derive(Default, Deserialize)]
struct Failure {
    #[serde(rename = "type")]
    kind: String,
    message: String,
}

fn failed_as(reason: &str, body: Arc<str>) -> Ending {
    Ending {
        status: RunStatus::Failed,
        body,
        reason: Some(reason.into()),
    }
}
