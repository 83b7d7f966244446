//! The program as it is called: flags, environment, files, exit codes and what is printed.

#![expect(clippy::unwrap_used, reason = "tests")]

mod approving;
mod deciding;
mod declaring;
mod flows;
mod harness;
mod moving_on;
mod serving;
mod settings;
mod token;
mod without_a_server;
