//! The rules of Neena, pure: values in, values out. No clock, no I/O, no async, so that any graph,
//! any interleaving and a crash at any point can be tested with values alone.
//!
//! A posted [`flow::FlowSpec`] becomes a [`flow::Flow`], valid by construction. A flow and a request become
//! a [`plan::Plan`], whose hash an approver approves. A [`run::Run`] walks the plan's graph: events
//! in, commands out. [`run::decide()`] holds every transition that is not the owner's own.

pub mod approval;
pub mod binding;
pub mod fault;
pub mod flow;
pub mod hash;
pub mod ids;
pub mod json;
pub mod plan;
pub mod run;
pub mod time;

pub use fault::{Fault, Loc};
pub use hash::Hash;
pub use json::Json;
pub use time::Micros;
