//! How the store behaves, on every form it has.

#![expect(clippy::unwrap_used, reason = "tests")]

mod claims;
mod db;
mod decisions;
mod harness;
mod journal;
mod keeping;
mod migrations;
mod records;
