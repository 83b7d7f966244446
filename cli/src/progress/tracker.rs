//! What changed between two readings of a run.

use std::collections::HashMap;

use crate::plan_view::Step;
use crate::table;
use crate::view::{Run, TaskRun};

/// A task run that is not what it was.
#[derive(Clone, Debug, PartialEq)]
pub struct Change {
    pub index: u32,
    pub name: String,
    /// The status now, as the contract words it; `retrying` between two attempts.
    pub status: String,
    pub attempt: u32,
    /// How long the task took, once it ended.
    pub took: Option<String>,
    pub error: Option<String>,
}

impl Change {
    /// Whether the task is over.
    pub fn is_final(&self) -> bool {
        !matches!(self.status.as_str(), "retrying" | "in_progress")
    }
}

/// What was seen of a run so far.
#[derive(Debug)]
pub struct Tracker {
    names: HashMap<u32, String>,
    seen: HashMap<String, (String, u32)>,
}

impl Tracker {
    /// Nothing seen yet of a run with these steps.
    pub fn new(steps: &[Step]) -> Tracker {
        let names = steps
            .iter()
            .map(|step| (step.index, step.name.clone()))
            .collect();
        Tracker {
            names,
            seen: HashMap::new(),
        }
    }

    /// The task runs that changed since the last reading, in the order of the run.
    pub fn changes(&mut self, run: &Run) -> Vec<Change> {
        let mut changes = Vec::new();
        for task in &run.task_runs {
            let now = (task.status.clone(), task.attempt.unwrap_or(1));
            if self.seen.get(&task.id) == Some(&now) {
                continue;
            }
            let first = self.seen.insert(task.id.clone(), now).is_none();
            // A row that is pending and new has not started: nothing to tell yet.
            if !(first && task.status == "pending" && task.error.is_none()) {
                changes.push(self.change(task));
            }
        }
        changes
    }

    fn change(&self, task: &TaskRun) -> Change {
        let index = task.task_operation_index;
        let name = self
            .names
            .get(&index)
            .cloned()
            .unwrap_or_else(|| format!("task {index}"));
        let status = if task.status == "pending" {
            "retrying"
        } else {
            &task.status
        };
        let ended = task.is_final() && task.start_time.is_some();
        Change {
            index,
            name,
            status: status.to_owned(),
            attempt: task.attempt.unwrap_or(1),
            took: ended.then(|| table::took(task.start_time.as_deref(), task.end_time.as_deref())),
            error: task
                .error
                .as_ref()
                .map(|error| format!("{}: {}", error.kind, error.message)),
        }
    }
}
