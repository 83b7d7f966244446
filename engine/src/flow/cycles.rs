//! Cycles, found without recursion and named by the tasks on them.

use std::collections::{HashMap, HashSet, VecDeque};

use petgraph::algo::kosaraju_scc;
use petgraph::graph::NodeIndex;

use super::FlowSpec;
use super::edges::Shape;
use super::faults::Faults;
use crate::{Fault, loc};

/// How many tasks of a cycle are named at its beginning before the rest is counted.
const NAMED: usize = 20;

/// The strongly connected components of a flow, sources first: in an acyclic flow each is one operation.
pub(super) fn components(shape: &Shape) -> Vec<Vec<NodeIndex>> {
    let mut components = kosaraju_scc(&shape.graph);
    components.reverse();
    components
}

/// Notes one cycle per component that has any: the shortest through its operation of least index.
pub(super) fn report(
    spec: &FlowSpec,
    shape: &Shape,
    components: &[Vec<NodeIndex>],
    faults: &mut Faults,
) -> bool {
    let mut found = false;
    for component in components.iter().filter(|component| component.len() > 1) {
        found = true;
        faults.add(|| {
            let msg = format!(
                "these tasks wait for each other: {}",
                named(spec, &cycle(spec, shape, component))
            );
            Fault::new(loc!["dependencies"], "cycle", msg)
        });
    }
    found
}

/// The shortest cycle through the component's operation of least index, that operation first.
fn cycle(spec: &FlowSpec, shape: &Shape, component: &[NodeIndex]) -> Vec<NodeIndex> {
    let inside: HashSet<NodeIndex> = component.iter().copied().collect();
    let index = |node: &NodeIndex| spec.task_operations[node.index()].index;
    let Some(start) = component.iter().copied().min_by_key(|node| index(node)) else {
        return Vec::new();
    };
    // Breadth first from the start, along dependencies, until one leads back to it.
    let mut came_from: HashMap<NodeIndex, NodeIndex> = HashMap::new();
    let mut queue = VecDeque::from([start]);
    while let Some(node) = queue.pop_front() {
        for next in shape
            .graph
            .neighbors(node)
            .filter(|next| inside.contains(next))
        {
            if next == start {
                let mut path = vec![node];
                while let Some(&previous) = path.last().and_then(|node| came_from.get(node)) {
                    path.push(previous);
                }
                path.reverse();
                return path;
            }
            came_from.entry(next).or_insert_with(|| {
                queue.push_back(next);
                node
            });
        }
    }
    vec![start]
}

/// `fetch → join → fetch`.
fn named(spec: &FlowSpec, cycle: &[NodeIndex]) -> String {
    let name = |node: &NodeIndex| spec.shown_name(node.index() as u32);
    let mut names: Vec<String> = cycle.iter().take(NAMED).map(name).collect();
    if cycle.len() > NAMED {
        names.push(format!("… {} more …", cycle.len() - NAMED));
    }
    names.extend(cycle.first().map(name));
    names.join(" → ")
}
