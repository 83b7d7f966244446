//! The engine's behaviour, a file per area.

#![expect(clippy::unwrap_used, reason = "tests")]

mod binding;
mod canonical;
mod diff;
mod expressions;
mod flow;
mod gates;
mod harness;
mod plan;
mod renew;
mod vectors;
