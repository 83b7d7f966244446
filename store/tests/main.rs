//! How the store behaves, on every form it has.

#![expect(clippy::unwrap_used, reason = "tests")]

mod batches;
mod claims;
mod connections;
mod costs;
mod db;
mod decisions;
#[cfg(feature = "failpoints")]
mod failpoints;
mod gates;
mod harness;
mod inbox;
mod journal;
mod keeping;
mod last_votes;
mod lost_answers;
mod migrations;
mod model;
mod races;
mod records;
mod resubmits;
mod sealing;
mod stale;
mod statistics;
