//! Whole workers on a real database and bus: SQLite and the bus of one process or, with
//! `NEENA_TEST_STACK=cluster`, Postgres and RabbitMQ. The same behaviour on both.

#![expect(clippy::unwrap_used, reason = "tests")]

mod behaviour;
mod gates;
mod ground;
#[path = "../driving/plans.rs"]
mod plans;
#[path = "../driving/scripted.rs"]
mod scripted;
mod world;
