//! How messages travel, from commit to worker.

#![expect(clippy::unwrap_used, reason = "tests")]

mod dead;
mod faults;
mod harness;
mod in_process;
mod keeper;
mod outside;
mod place;
mod proxy;
mod rabbit;
mod relay;
mod sealer;
mod shared;
mod signatures;
