//! The definition of work: operations and their dependencies, a graph valid by construction.

mod definition;
mod retry;
mod rules;
mod spec;

pub use definition::{Catalogue, Definition, EXPRESSION, Kind, Parameter};
pub use retry::{Backoff, Retry};
pub use rules::{OnFailure, TriggerRule};
pub use spec::{DependencySpec, FlowSpec, OperationSpec};
