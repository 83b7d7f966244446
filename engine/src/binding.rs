//! Arguments: from literals, `{{ expressions }}`, the request's metadata and upstream results.
//!
//! Expressions see `tasks.<key>.result`, `request` and `run`, call what `environment.rs` allows, and cost
//! what it allows. What they give is a value, never looked at again: data is not evaluated.

mod argument;
mod bind;
mod environment;
mod expression;
mod guard;
mod keys;
mod lex;
mod references;
mod scope;
mod template;
#[cfg(test)]
mod tests;
mod text;

pub(crate) use argument::{Argument, Flaw};
pub use bind::{BindError, Bound};
pub(crate) use bind::{Step, condition};
pub(crate) use expression::Expression;
pub(crate) use keys::{Keys, Named, key_of};
pub use scope::Scope;
pub(crate) use text::shortened;
