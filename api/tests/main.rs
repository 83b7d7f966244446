//! The API called in process, over a fresh SQLite file per test; no worker runs.

#![expect(clippy::unwrap_used, reason = "tests")]

mod harness;

mod bodies;
mod catalogue;
mod decisions;
mod flow_requests;
mod flow_runs;
mod flows;
mod hang_ups;
mod idempotency;
mod lists;
mod overload;
mod permissions;
mod plans;
mod queries;
mod serving;
mod surface;
mod tenants;
mod tokens;
mod users;
