//! The parts of an installation, composed: everything in one process, or the API and workers in processes of
//! their own.

mod local_hosting;
pub mod node;

pub use node::{Backends, Broker, Database, Node, Options, Role, WorkerOptions};
