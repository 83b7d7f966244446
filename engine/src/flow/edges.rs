//! Dependencies as pairs of places in the list of operations.

use std::collections::HashMap;

use petgraph::graph::DiGraph;

use super::FlowSpec;
use super::faults::Faults;
use crate::{Fault, loc};

/// A flow's shape: node `i` is the operation at place `i` of the posted list.
pub(super) struct Shape {
    pub(super) graph: DiGraph<(), (), u32>,
    /// Each edge and which dependency it is. (The graph would walk a node's list to find one.)
    edges: HashMap<(u32, u32), usize>,
}

impl Shape {
    /// Whether `to` depends directly on `from`.
    pub(super) fn has(&self, from: u32, to: u32) -> bool {
        self.edges.contains_key(&(from, to))
    }
}

/// The shape of a flow, without the dependencies that are at fault.
pub(super) fn shape(spec: &FlowSpec, places: &HashMap<u32, u32>, faults: &mut Faults) -> Shape {
    let mut graph = DiGraph::with_capacity(spec.task_operations.len(), spec.dependencies.len());
    for _ in &spec.task_operations {
        graph.add_node(());
    }
    let mut edges: HashMap<(u32, u32), usize> = HashMap::with_capacity(spec.dependencies.len());
    for (at, dependency) in spec.dependencies.iter().enumerate() {
        let (source, target) = (
            dependency.source_task_operation,
            dependency.target_task_operation,
        );
        let ends = [
            ("source_task_operation", source),
            ("target_task_operation", target),
        ];
        for (field, index) in ends {
            if !places.contains_key(&index) {
                faults.add(|| {
                    let msg = format!("no task operation of this flow has the index {index}");
                    Fault::new(loc!["dependencies", at, field], "unknown_index", msg)
                });
            }
        }
        let (Some(&from), Some(&to)) = (places.get(&source), places.get(&target)) else {
            continue;
        };
        if from == to {
            faults.add(|| {
                let name = spec.shown_name(from);
                let msg = format!("`{name}` (index {source}) depends on itself");
                Fault::new(loc!["dependencies", at], "self_dependency", msg)
            });
            continue;
        }
        if let Some(first) = edges.get(&(from, to)) {
            faults.add(|| {
                let (from, to) = (spec.shown_name(from), spec.shown_name(to));
                let msg = format!("`{from}` → `{to}` is there already, as dependency {first}");
                Fault::new(loc!["dependencies", at], "duplicate_dependency", msg)
            });
            continue;
        }
        edges.insert((from, to), at);
        graph.add_edge(from.into(), to.into(), ());
    }
    Shape { graph, edges }
}
