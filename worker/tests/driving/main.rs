//! The worker on its seams: the store in memory, the bus of one process, scripted tasks, paused time.

#![expect(clippy::unwrap_used, reason = "tests")]

mod behaviour;
mod claims_and_beats;
mod faulty;
mod gates;
mod gates_races;
mod harness;
mod plans;
mod regressions;
mod remote;
mod scripted;
