//! Seeds, replays and planted bugs.

mod bugs;
mod seeds;
