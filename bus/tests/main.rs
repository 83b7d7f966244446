//! How messages travel, from commit to worker.

#![expect(clippy::unwrap_used, reason = "tests")]

mod harness;
mod in_process;
mod keeper;
mod place;
mod relay;
mod shared;
