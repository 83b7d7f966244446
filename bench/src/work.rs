//! The flows that are measured.

use neena_engine::flow::{DependencySpec, FlowSpec, OperationSpec, Retry, TriggerRule};
use neena_engine::ids::TaskDefinitionId;
use serde_json::{Map, Value, json};

/// What runs in each task, and how the tasks depend on each other.
#[derive(Clone, Copy, Debug)]
pub struct Work {
    pub shape: Shape,
    pub task: Task,
}

#[derive(Clone, Copy, Debug)]
pub enum Shape {
    /// One after the other.
    Chain(u32),
    /// A root, so many tasks that depend on it, and one that depends on all of them.
    Fan(u32),
    /// Side by side.
    Wide(u32),
    /// A root and so many tasks that depend on it.
    Star(u32),
    /// Layers of so many tasks, each of which depends on three of the layer before.
    Layers(u32, u32),
}

#[derive(Clone, Copy, Debug)]
pub enum Task {
    /// Built in, pure: passes on its arguments.
    Echo,
    /// Python, recorded: naive Fibonacci of so much.
    Step(u32),
    /// Python, pure: the same.
    PureStep(u32),
}

impl Task {
    pub fn method(self) -> &'static str {
        match self {
            Task::Echo => "core.echo",
            Task::Step(_) => "step",
            Task::PureStep(_) => "pure_step",
        }
    }

    fn arguments(self) -> Map<String, Value> {
        let value = match self {
            Task::Echo => json!({ "n": 1 }),
            Task::Step(n) | Task::PureStep(n) => json!({ "n": n }),
        };
        value.as_object().cloned().unwrap_or_default()
    }

    fn is_python(self) -> bool {
        matches!(self, Task::Step(_) | Task::PureStep(_))
    }
}

impl Shape {
    pub fn tasks(self) -> u32 {
        match self {
            Shape::Chain(count) | Shape::Wide(count) => count,
            Shape::Fan(wide) => wide + 2,
            Shape::Star(leaves) => leaves + 1,
            Shape::Layers(layers, wide) => layers * wide,
        }
    }

    fn edges(self) -> Vec<(u32, u32)> {
        match self {
            Shape::Chain(count) => (1..count).map(|at| (at - 1, at)).collect(),
            Shape::Fan(wide) => (1..=wide)
                .flat_map(|at| [(0, at), (at, wide + 1)])
                .collect(),
            Shape::Wide(_) => Vec::new(),
            Shape::Star(leaves) => (1..=leaves).map(|at| (0, at)).collect(),
            Shape::Layers(layers, wide) => (1..layers)
                .flat_map(|layer| (0..wide).map(move |at| (layer, at)))
                .flat_map(|(layer, at)| {
                    let mut above = [at, (at + 1) % wide, (at + 2) % wide];
                    above.sort_unstable();
                    let before = (layer - 1) * wide;
                    above.map(|one| (before + one, layer * wide + at))
                })
                .collect(),
        }
    }
}

impl Work {
    /// Calls of a Python host.
    pub fn calls(&self) -> u32 {
        match self.task.is_python() {
            true => self.shape.tasks(),
            false => 0,
        }
    }

    pub fn flow(&self, name: &str, definition: TaskDefinitionId) -> FlowSpec {
        let operation = |index| OperationSpec {
            name: format!("step {index}"),
            task_definition: definition,
            index,
            instruction: None,
            arguments: Some(self.task.arguments()),
            when: None,
            trigger_rule: TriggerRule::AllSuccess,
            retry: Retry::NONE,
            timeout_ms: None,
            approval: None,
        };
        let dependency = |(source, target)| DependencySpec {
            source_task_operation: source,
            target_task_operation: target,
            instruction: None,
        };
        FlowSpec {
            name: name.to_owned(),
            task_operations: (0..self.shape.tasks()).map(operation).collect(),
            dependencies: self.shape.edges().into_iter().map(dependency).collect(),
            ..FlowSpec::default()
        }
    }
}
