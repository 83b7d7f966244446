//! The definition of work: operations and their dependencies, a graph valid by construction.

mod builtin;
mod by_name;
mod check;
mod cycles;
mod definition;
mod edges;
mod faults;
mod made;
mod operations;
mod order;
mod references;
mod retry;
mod rules;
mod spec;

pub use builtin::{
    BUILT_IN_CLASS, BUILT_IN_INTEGRATION, BuiltIn, built_in_integration_id, built_in_version,
    built_ins,
};
pub(crate) use faults::Faults;

pub use definition::{Catalogue, Definition, EXPRESSION, Kind, Parameter};
pub use retry::{Backoff, Retry};
pub use rules::{OnFailure, TriggerRule};
pub use spec::{DependencySpec, FlowSpec, OperationSpec};

use crate::plan::{Graph, GraphBody, PlanError};

/// The most operations a flow has.
pub const MAX_OPERATIONS: usize = 10_000;

/// The most dependencies a flow has.
pub const MAX_DEPENDENCIES: usize = 100_000;

/// The most expressions a flow has: each is kept compiled while the flow's runs go on.
pub const MAX_EXPRESSIONS: usize = 50_000;

/// A checked flow: its operations in topological order, each with the definition it was checked against.
/// Made by [`Flow::check`] only; whoever holds one checks nothing again.
#[derive(Clone, Debug, PartialEq)]
pub struct Flow {
    name: String,
    body: GraphBody,
}

impl Flow {
    /// Its name, for people.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// Its operations in topological order (an operation's place is its `sorted_index`), its
    /// dependencies and settings, every default written out.
    pub fn body(&self) -> &GraphBody {
        &self.body
    }

    /// The graph of its plans. An error means a bug: what was checked has a canonical form.
    pub fn graph(&self) -> Result<Graph, PlanError> {
        Graph::new(&self.body)
    }
}
