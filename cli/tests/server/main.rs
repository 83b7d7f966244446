//! The whole program, as its users run it: a real `neena serve` process, its API and its terminal.
#![expect(clippy::unwrap_used, reason = "tests")]

mod broker;
mod crash;
mod ground;
mod harness;
mod last_votes;
mod life;
mod process;
mod schema;
mod takeover;
