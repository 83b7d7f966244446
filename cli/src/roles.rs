//! The processes of an installation: everything in one, or the API and workers in processes of their own.

mod api;
mod backends;
mod metrics;
mod migrate;
mod serve;
mod signal;
mod watch;
mod worker;

use std::time::Duration;

use crate::config::WorkOptions;
use neena::WorkerOptions;

pub use migrate::{Migrated, migrate};

pub use api::run as api;
pub use serve::run as serve;
pub use worker::run as worker;

/// What the options ask of a worker, which keeps the Python package in `sdk_dir`.
fn work(options: &WorkOptions, grace_seconds: u32, sdk_dir: std::path::PathBuf) -> WorkerOptions {
    WorkerOptions {
        name: options.worker_name.clone().unwrap_or_else(name),
        slots: options.worker_concurrency as usize,
        runs: options.worker_runs as usize,
        grace: seconds(grace_seconds),
        python: options.python.clone(),
        sdk_dir,
        integrations: options.integrations.clone(),
    }
}

/// What a process is called that was given no name: its machine and its id.
fn name() -> String {
    let host = std::fs::read_to_string("/proc/sys/kernel/hostname").unwrap_or_default();
    let host = match host.trim() {
        "" => "neena",
        host => host,
    };
    format!("{host}-{}", std::process::id())
}

fn seconds(number: u32) -> Duration {
    Duration::from_secs(number.into())
}
