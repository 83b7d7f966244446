//! Which scenarios there are, and on which stacks.

use neena_store::Durability;

use crate::figure::Figure;
use crate::machine::Machine;
use crate::stack::Stack;
use crate::{Measure, Which, path, shapes, waiting, workers};

/// Names, in the order in which they are measured.
const ALL: [&str; 9] = [
    "single",
    "chain40",
    "heavy10",
    "fan100",
    "fan1000",
    "tasks10000",
    "shapes",
    "workers",
    "waiting",
];
/// Those that need many machines.
const CLUSTER: [&str; 2] = ["workers", "waiting"];
/// Those that run only when they are named.
const NAMED: [&str; 1] = ["waiting"];

/// What may be named.
pub fn names() -> [&'static str; ALL.len()] {
    ALL
}

/// Measures what was chosen.
pub async fn measure(options: &Measure) -> anyhow::Result<Vec<Figure>> {
    let stack = options.stack()?;
    let mut figures = Vec::new();
    let chosen = chosen(options);
    figures.extend(paths(options, &stack, &chosen).await?);
    if options.stack == Which::Embedded {
        figures.extend(paths(options, &Stack::Embedded(Durability::Fast), &chosen).await?);
    }
    for name in chosen {
        figures.extend(match name {
            "shapes" => shapes::measure(options, &stack).await?,
            "workers" => workers::measure(options).await?,
            "waiting" => waiting::measure(options).await?,
            _ => continue,
        });
    }
    Ok(figures)
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

/// All paths of these scenarios, on one machine.
async fn paths(options: &Measure, stack: &Stack, chosen: &[&str]) -> anyhow::Result<Vec<Figure>> {
    let paths: Vec<path::Path> = chosen
        .iter()
        .flat_map(|name| path::paths(name, stack))
        .collect();
    if paths.is_empty() {
        return Ok(Vec::new());
    }
    let machine = Machine::start(&options.python, stack).await?;
    let mut figures = Vec::new();
    for path in paths {
        figures.push(
            path.measure(&machine, stack, &options.python, options.samples())
                .await?,
        );
    }
    machine.stop().await?;
    Ok(figures)
}
