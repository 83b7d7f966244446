//! The `neena` program: the processes of an installation, and its API from a terminal.

mod client;
mod commands;
mod config;
mod data_dir;
mod diff_view;
mod flow_file;
mod logs;
mod names;
mod plan_view;
mod progress;
mod roles;
mod table;
mod view;

use std::process::ExitCode;

#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

fn main() -> ExitCode {
    // Read from FAILPOINTS.
    #[cfg(feature = "failpoints")]
    let _failpoints = fail::FailScenario::setup();
    match config::parse(std::env::args_os()) {
        Ok(cli) => {
            config::warn_of_unknown_variables();
            commands::run(cli)
        }
        Err(stop) => stop.report(),
    }
}
