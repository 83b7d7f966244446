//! The check of a posted flow: every fault at once, or a [`Flow`].

use std::collections::HashMap;

use super::faults::Faults;
use super::operations::{self, Found};
use super::references::Reference;
use super::{
    Catalogue, Flow, FlowSpec, MAX_DEPENDENCIES, MAX_EXPRESSIONS, MAX_OPERATIONS, by_name, cycles,
    edges, made, order, references,
};
use crate::{Fault, Loc, loc};

/// The largest index.
const MAX_INDEX: u32 = i32::MAX as u32;

impl Flow {
    /// Checks a flow against the definitions it names. `catalogue` holds at least those that exist.
    /// Locations start at the body's root. The work grows with operations and dependencies, not with
    /// their product, and never recurses along them.
    pub fn check(spec: FlowSpec, catalogue: &Catalogue) -> Result<Flow, Vec<Fault>> {
        let mut faults = Faults::default();
        too_many(
            "task_operations",
            spec.task_operations.len(),
            MAX_OPERATIONS,
            &mut faults,
        );
        too_many(
            "dependencies",
            spec.dependencies.len(),
            MAX_DEPENDENCIES,
            &mut faults,
        );
        std::mem::take(&mut faults).finish()?;

        if spec.timeout_ms == Some(0) {
            faults.add(|| no_timeout(loc!["timeout_seconds"]));
        }
        let places = places(&spec, &mut faults);
        let definitions: Vec<_> = spec
            .task_operations
            .iter()
            .map(|operation| catalogue.get(&operation.task_definition))
            .collect();
        let mut found = Found::default();
        for (place, (operation, definition)) in
            (0u32..).zip(spec.task_operations.iter().zip(&definitions))
        {
            operations::check(place, operation, *definition, &mut found, &mut faults);
            if found.expressions > MAX_EXPRESSIONS {
                let msg = format!("a flow has at most {MAX_EXPRESSIONS} expressions");
                faults.add(|| Fault::new(loc!["task_operations"], "too_many", msg));
                break;
            }
        }
        let shape = edges::shape(&spec, &places, &mut faults);
        let components = cycles::components(&shape);
        let acyclic = !cycles::report(&spec, &shape, &components, &mut faults);
        let locate = |reference: &Reference| operations::locate(&spec, &definitions, reference);
        references::check(
            &spec,
            &found.references,
            &shape,
            &components,
            locate,
            &mut faults,
        );
        let order = if acyclic {
            order::order(&spec, &shape)
        } else {
            Vec::new()
        };
        let sources = by_name::sources(&spec, &definitions, &shape, &order, &mut faults);
        faults.finish()?;
        Ok(made::flow(spec, &definitions, &order, sources))
    }
}

fn too_many(field: &str, len: usize, most: usize, faults: &mut Faults) {
    if len > most {
        let msg = format!("{len} are too many: a flow has at most {most}");
        faults.add(|| Fault::new(loc![field], "too_many", msg));
    }
}

/// The place of each index in the list of operations.
fn places(spec: &FlowSpec, faults: &mut Faults) -> HashMap<u32, u32> {
    let mut places = HashMap::with_capacity(spec.task_operations.len());
    for (place, operation) in (0u32..).zip(&spec.task_operations) {
        let index = operation.index;
        let at = || loc!["task_operations", place as usize, "index"];
        if index > MAX_INDEX {
            faults.add(|| out_of_range(at(), format!("an index is at most {MAX_INDEX}")));
        }
        if let Some(&first) = places.get(&index) {
            faults.add(|| {
                let msg = format!(
                    "the index {index} is `{}`'s already",
                    spec.shown_name(first)
                );
                Fault::new(at(), "duplicate_index", msg)
            });
        } else {
            places.insert(index, place);
        }
    }
    places
}

/// A value that is out of its range.
pub(super) fn out_of_range(loc: Vec<Loc>, msg: impl Into<String>) -> Fault {
    Fault::new(loc, "out_of_range", msg)
}

/// A timeout of nothing.
pub(super) fn no_timeout(loc: Vec<Loc>) -> Fault {
    out_of_range(loc, "a timeout is more than 0 seconds")
}
