//! How the store behaves, on every database it has.

#![expect(clippy::unwrap_used, reason = "tests")]

mod db;
mod harness;
