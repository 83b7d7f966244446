//! The program as it is called: flags, environment, files and exit codes, without a server.

#![expect(clippy::unwrap_used, reason = "tests")]

mod harness;
mod settings;
mod token;
mod without_a_server;
