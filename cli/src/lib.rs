//! Everything of one machine in one process, composed from the same parts that a cluster is made of.

pub mod embedded;
mod local_hosting;

pub use embedded::{Embedded, Options};
