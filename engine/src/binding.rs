//! Arguments: from literals, `{{ expressions }}`, the request's metadata and upstream results.

mod bind;
mod expression;
mod template;

pub use bind::{BindError, Bound, Scope};

// Filled in with flow::check and plan::Graph. Needed by the run machine:
//
// pub trait Scope {
//     fn head(&self) -> &Head;
//     fn run(&self) -> RunId;
//     /// Result of the operation at a position; none while it has none (skipped, failed, not ended).
//     fn result(&self, position: usize) -> Option<&Json>;
// }
// pub struct Bound { pub arguments: Json /* object */, pub prep_answer: Json }
// pub struct BindError { message }            // becomes a task error of type `binding`
// impl Graph {
//     pub fn bind(&self, position: usize, scope: &dyn Scope) -> Result<Bound, BindError>;
//     pub fn when(&self, position: usize, scope: &dyn Scope) -> Result<bool, BindError>;   // true without `when`
// }
