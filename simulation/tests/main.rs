//! Seeds, replays and planted bugs.

#![expect(clippy::unwrap_used, reason = "tests")]

mod bugs;
mod seeds;
