//! The API called in process, over a fresh database per test; no worker runs.

#![expect(clippy::unwrap_used, reason = "tests")]

mod harness;

mod approvals;
mod bodies;
mod bulk;
mod catalogue;
mod courier;
mod decisions;
mod external;
mod flow_requests;
mod flow_runs;
mod flows;
mod hang_ups;
mod idempotency;
mod links;
mod lists;
mod metrics;
mod overload;
mod permissions;
mod plans;
mod processes;
mod queries;
mod readiness;
mod serving;
mod standing;
mod surface;
mod tenants;
mod tokens;
mod troubled;
mod users;
mod ways;
