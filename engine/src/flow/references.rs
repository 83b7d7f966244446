//! References of expressions to tasks and gates: each must name one task, and that task must stand upstream. The
//! arguments of a task may look at its own gate, which is open by the time they are bound.

use petgraph::graph::NodeIndex;

use super::FlowSpec;
use super::edges::Shape;
use super::faults::Faults;
use crate::binding::{Keys, Named};
use crate::{Fault, Loc};

/// An expression of the operation at `place` looks at the task `key`, or at its gate.
#[derive(Debug)]
pub(super) struct Reference {
    pub(super) place: u32,
    pub(super) key: String,
    pub(super) gate: bool,
    pub(super) site: Site,
}

impl Reference {
    /// As the expression has it.
    fn word(&self) -> String {
        let what = if self.gate { "gates" } else { "tasks" };
        format!("{what}.{}", self.key)
    }
}

/// Which expression it is.
#[derive(Debug)]
pub(super) enum Site {
    When,
    /// In this argument, which is read again for the exact place, should it be at fault.
    Argument(String),
}

/// Notes every reference to a task that does not exist, is not one task, or does not stand upstream.
pub(super) fn check(
    spec: &FlowSpec,
    references: &[Reference],
    shape: &Shape,
    components: &[Vec<NodeIndex>],
    locate: impl Fn(&Reference) -> Vec<Loc>,
    faults: &mut Faults,
) {
    let keys = Keys::of(
        spec.task_operations
            .iter()
            .map(|operation| &*operation.name),
    );
    let mut far = Vec::new();
    for reference in references {
        let key = &reference.key;
        match keys.get(key) {
            None => faults.add(|| {
                let msg = format!("`{}`: no task of this flow has that key", reference.word());
                Fault::new(locate(reference), "unknown_task", msg)
            }),
            Some(Named::Several) => faults.add(|| {
                let msg = format!(
                    "`{}`: several tasks have that key; give them different names",
                    reference.word()
                );
                Fault::new(locate(reference), "ambiguous_task", msg)
            }),
            Some(Named::One(target))
                if reference.gate && spec.task_operations[target as usize].approval.is_none() =>
            {
                faults.add(|| {
                    let msg = format!(
                        "`{}`: `{}` has no `approval`",
                        reference.word(),
                        spec.shown_name(target)
                    );
                    Fault::new(locate(reference), "unknown_gate", msg)
                });
            }
            Some(Named::One(target))
                if reference.gate
                    && target == reference.place
                    && matches!(reference.site, Site::Argument(_)) => {}
            // Nearly all look at a direct input.
            Some(Named::One(target)) if shape.has(target, reference.place) => {}
            Some(Named::One(target)) => far.push((target, reference)),
        }
    }
    for (target, reference) in not_upstream(far, shape, components) {
        faults.add(|| {
            let (target, name) = (spec.shown_name(target), spec.shown_name(reference.place));
            let msg = format!(
                "`{}`: `{name}` does not depend on `{target}`, directly or through others",
                reference.word()
            );
            Fault::new(locate(reference), "not_upstream", msg)
        });
    }
}

/// Of the references (target, reference), those whose target does not stand upstream, in the order given.
/// Reachability is carried along the dependencies for 64 targets at a time, one bit each.
fn not_upstream<'a>(
    references: Vec<(u32, &'a Reference)>,
    shape: &Shape,
    components: &[Vec<NodeIndex>],
) -> Vec<(u32, &'a Reference)> {
    let mut by_target: Vec<usize> = (0..references.len()).collect();
    by_target.sort_by_key(|&at| references[at].0);
    let mut targets: Vec<u32> = by_target.iter().map(|&at| references[at].0).collect();
    targets.dedup();
    let mut missing = Vec::new();
    let mut rest = &by_target[..];
    for targets in targets.chunks(64) {
        let upstream = reach(targets, shape, components);
        for (bit, target) in targets.iter().enumerate() {
            while let [at, later @ ..] = rest
                && references[*at].0 == *target
            {
                if upstream[references[*at].1.place as usize] & (1 << bit) == 0 {
                    missing.push(*at);
                }
                rest = later;
            }
        }
    }
    missing.sort_unstable();
    missing.into_iter().map(|at| references[at]).collect()
}

/// For each place, which of up to 64 targets stand upstream of it: bit `i` is `targets[i]`.
fn reach(targets: &[u32], shape: &Shape, components: &[Vec<NodeIndex>]) -> Vec<u64> {
    let mut own = vec![0u64; shape.graph.node_count()];
    for (bit, target) in targets.iter().enumerate() {
        own[*target as usize] = 1 << bit;
    }
    let mut upstream = vec![0u64; own.len()];
    for component in components {
        // On a cycle everybody stands upstream of everybody.
        if component.len() > 1 {
            let join = |all, node: &NodeIndex| all | own[node.index()] | upstream[node.index()];
            let all = component.iter().fold(0, join);
            component
                .iter()
                .for_each(|node| upstream[node.index()] = all);
        }
        for node in component {
            let passed = upstream[node.index()] | own[node.index()];
            if passed != 0 {
                shape
                    .graph
                    .neighbors(*node)
                    .for_each(|next| upstream[next.index()] |= passed);
            }
        }
    }
    upstream
}
