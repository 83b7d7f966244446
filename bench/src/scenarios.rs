//! Which scenarios there are, and on which stacks.

use neena_store::Durability;

use crate::figure::Figure;
use crate::machine::Machine;
use crate::stack::Stack;
use crate::write;
use crate::{
    Measure, Which, footprint, growth, latency, path, shapes, soak, throughput, waiting, workers,
};

/// Names, in the order in which they are measured.
const ALL: [&str; 14] = [
    "single",
    "chain40",
    "heavy10",
    "fan100",
    "fan1000",
    "tasks10000",
    "shapes",
    "throughput",
    "latency",
    "footprint",
    "growth",
    "workers",
    "waiting",
    "soak",
];
/// Those that need many machines.
const CLUSTER: [&str; 2] = ["workers", "waiting"];
/// Those that run only when they are named.
const NAMED: [&str; 2] = ["waiting", "soak"];

/// What may be named.
pub fn names() -> [&'static str; ALL.len()] {
    ALL
}

/// What could not be measured, and why.
pub type Failed = Vec<(&'static str, anyhow::Error)>;

/// Measures what was chosen. What fails keeps nothing else from being measured, and what was measured is kept in
/// the file even if the rest is cut short.
pub async fn measure(options: &Measure) -> anyhow::Result<(Vec<Figure>, Failed)> {
    let stack = options.stack()?;
    let (mut figures, mut failed) = (Vec::new(), Vec::new());
    for name in chosen(options) {
        match one(options, &stack, name).await {
            Ok(some) => figures.extend(some),
            Err(error) => failed.push((name, error)),
        }
        if let Some(path) = &options.json {
            write(path, &figures)?;
        }
    }
    Ok((figures, failed))
}

async fn one(options: &Measure, stack: &Stack, name: &str) -> anyhow::Result<Vec<Figure>> {
    match name {
        "shapes" => shapes::measure(options, stack).await,
        "throughput" => throughput::measure(options, stack).await,
        "latency" => latency::measure(options, stack).await,
        "footprint" => footprint::measure(options, stack).await,
        "growth" => growth::measure(options, stack).await,
        "workers" => workers::measure(options).await,
        "waiting" => waiting::measure(options).await,
        "soak" => soak::measure(options, stack).await,
        path => {
            let mut figures = paths(options, stack, path).await?;
            if options.stack == Which::Embedded {
                figures.extend(paths(options, &Stack::Embedded(Durability::Fast), path).await?);
            }
            Ok(figures)
        }
    }
}

fn chosen(options: &Measure) -> Vec<&'static str> {
    let named = |name: &&str| match options.scenarios.is_empty() {
        true => {
            !NAMED.contains(name) && (options.stack == Which::Cluster || !CLUSTER.contains(name))
        }
        false => options.scenarios.iter().any(|one| one == name),
    };
    ALL.into_iter().filter(named).collect()
}

/// All paths of a scenario, on one machine.
async fn paths(options: &Measure, stack: &Stack, scenario: &str) -> anyhow::Result<Vec<Figure>> {
    let paths = path::paths(scenario, stack);
    if paths.is_empty() {
        return Ok(Vec::new());
    }
    let machine = Machine::start(&options.python, stack).await?;
    let mut figures = Vec::new();
    for path in paths {
        let samples = options.samples();
        let figure = path.measure(&machine, stack, &options.python, samples);
        figures.push(figure.await?);
    }
    machine.stop().await?;
    Ok(figures)
}
