//! Runs in simulation: random graphs, outcomes and interleavings, a crash and a resume at any point.
//!
//! The world is a few ordered maps; every choice comes from one seeded generator, so a failing case
//! replays exactly. Invariants: no task starts before its rule allows, an effect starts only on
//! committed outcomes, each outcome is recorded once, a resume gives the end state of a run that never
//! crashed, and every run ends. A gate is asked about once a round, its task starts only when it was approved, and no
//! answer is slept through.
#![expect(clippy::unwrap_used, reason = "tests")]

mod commit;
mod dice;
mod gates;
mod graph;
mod owner;
mod people;
mod properties;
mod rules;
mod signals;
mod world;
