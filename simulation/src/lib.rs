//! A deterministic simulation of whole workers: several of them with their journals, relays and keepers, exactly
//! as they run in life, over a database, a broker, tasks and people that are simulated, in one thread and on a
//! clock that jumps. Everything that happens follows from a seed, so whatever goes wrong can be seen again.
//!
//! The database crashes and loses what it may lose; calls are refused, lost, answered into the void or land late;
//! messages are dropped, doubled, delayed and reordered; processes die at any moment, stand still past their
//! lease and wake up again. A checker holds the invariants against every commit and every start of a task, and
//! against what is left once the faults have stopped. Planted bugs show that it would notice.

mod broker;
mod bug;
mod checker;
mod database;
mod dice;
mod flow;
mod gates;
mod incidents;
mod node;
mod people;
mod process;
mod run;
mod tasks;
mod trace;
mod weather;
mod world;

pub use bug::Bug;
pub use run::{Options, simulate};
pub use trace::Tracing;
pub use world::Ended;
