//! What is measured.

use std::time::Duration;

use anyhow::bail;
use neena_engine::flow::{DependencySpec, FlowSpec, OperationSpec, Retry, TriggerRule};
use serde_json::{Map, Value, json};

use crate::machine::{Machine, Sample};
use crate::report::{Figure, spread};

/// A flow, and what it may cost.
#[derive(Debug)]
pub struct Scenario {
    pub name: &'static str,
    shape: Shape,
    method: &'static str,
    /// Durable commits from approval to completion.
    pub commits: u64,
    /// Calls of a Python host.
    calls: u32,
    goal: Goal,
}

#[derive(Debug)]
enum Shape {
    Chain(u32),
    /// A root, so many tasks that depend on it, and one that depends on all of them.
    Fan(u32),
}

#[derive(Debug)]
enum Goal {
    None,
    /// Milliseconds.
    Flat(f64),
    /// A multiple of the floor, and milliseconds on top.
    Floor(f64, f64),
}

const ALL: [Scenario; 5] = [
    Scenario {
        name: "single",
        shape: Shape::Chain(1),
        method: "core.echo",
        commits: 2,
        calls: 0,
        goal: Goal::None,
    },
    Scenario {
        name: "chain-pure",
        shape: Shape::Chain(40),
        method: "core.echo",
        commits: 2,
        calls: 0,
        goal: Goal::None,
    },
    Scenario {
        name: "chain-python",
        shape: Shape::Chain(40),
        method: "step",
        commits: 41,
        calls: 40,
        goal: Goal::Floor(1.25, 10.0),
    },
    Scenario {
        name: "chain-pure-python",
        shape: Shape::Chain(40),
        method: "pure_step",
        commits: 2,
        calls: 40,
        goal: Goal::None,
    },
    Scenario {
        name: "fan",
        shape: Shape::Fan(1_000),
        method: "core.echo",
        commits: 2,
        calls: 0,
        goal: Goal::Flat(500.0),
    },
];

/// The scenarios of these names; all of them where none is named.
pub fn choose(names: &[String]) -> anyhow::Result<Vec<Scenario>> {
    let all = ALL.into_iter();
    if names.is_empty() {
        return Ok(all.collect());
    }
    let known: Vec<&str> = ALL.iter().map(|scenario| scenario.name).collect();
    if let Some(unknown) = names.iter().find(|name| !known.contains(&name.as_str())) {
        bail!("no scenario `{unknown}`; there are {}", known.join(", "));
    }
    Ok(all
        .filter(|scenario| names.iter().any(|name| name == scenario.name))
        .collect())
}

impl Scenario {
    /// Measures `runs` runs, each beside its floor, after one that warms up.
    pub async fn measure(&self, machine: &Machine, runs: usize) -> anyhow::Result<Figure> {
        let graph = machine.graph(self.spec(machine))?;
        let tasks = graph.len();
        machine.run(&graph).await?;
        let mut samples: Vec<Sample> = Vec::new();
        let mut floors: Vec<Duration> = Vec::new();
        for _ in 0..runs {
            samples.push(machine.run(&graph).await?);
            floors.push(machine.floor(self.commits, self.calls).await?);
        }
        let (median_ms, min_ms, max_ms) = spread(samples.iter().map(|one| one.took).collect());
        let (floor_ms, ..) = spread(floors);
        let usual = |count: fn(&Sample) -> u64| {
            let mut counts: Vec<u64> = samples.iter().map(count).collect();
            counts.sort_unstable();
            counts[counts.len() / 2]
        };
        Ok(Figure {
            scenario: self.name,
            tasks,
            durable_commits: usual(|one| one.durable),
            lazy_commits: usual(|one| one.lazy),
            median_ms,
            min_ms,
            max_ms,
            floor_ms,
            goal_ms: match self.goal {
                Goal::None => None,
                Goal::Flat(millis) => Some(millis),
                Goal::Floor(times, millis) => Some(times * floor_ms + millis),
            },
        })
    }

    fn spec(&self, machine: &Machine) -> FlowSpec {
        let (count, edges): (u32, Vec<(u32, u32)>) = match self.shape {
            Shape::Chain(count) => (count, (1..count).map(|at| (at - 1, at)).collect()),
            Shape::Fan(wide) => {
                let leaves = (1..=wide).flat_map(|at| [(0, at), (at, wide + 1)]);
                (wide + 2, leaves.collect())
            }
        };
        let operation = |index| OperationSpec {
            name: format!("step {index}"),
            task_definition: machine.definition(self.method),
            index,
            instruction: None,
            arguments: Some(arguments(self.method)),
            when: None,
            trigger_rule: TriggerRule::AllSuccess,
            retry: Retry::NONE,
            timeout_ms: None,
            approval: None,
        };
        FlowSpec {
            name: self.name.to_owned(),
            task_operations: (0..count).map(operation).collect(),
            dependencies: edges
                .into_iter()
                .map(|(source, target)| DependencySpec {
                    source_task_operation: source,
                    target_task_operation: target,
                    instruction: None,
                })
                .collect(),
            ..FlowSpec::default()
        }
    }
}

fn arguments(method: &str) -> Map<String, Value> {
    let value = if method.starts_with("core.") {
        json!({ "n": 1 })
    } else {
        json!({ "n": 10 })
    };
    value.as_object().cloned().unwrap_or_default()
}
