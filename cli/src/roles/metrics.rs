//! What is counted and measured in this process, for Prometheus.

use std::time::Duration;

use anyhow::Context;
use metrics_exporter_prometheus::{Matcher, PrometheusBuilder, PrometheusHandle};

/// How often what was measured is put into its histogram.
const UPKEEP: Duration = Duration::from_secs(5);

/// Upper bounds of what takes milliseconds, in seconds.
const SHORT: [f64; 12] = [
    0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 5.0,
];
/// Upper bounds of what takes up to a minute, in seconds.
const WAITS: [f64; 13] = [
    0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 5.0, 15.0, 60.0,
];
/// Upper bounds of what tasks take, in seconds.
const LONG: [f64; 12] = [
    0.001, 0.01, 0.05, 0.1, 0.5, 1.0, 5.0, 15.0, 60.0, 300.0, 900.0, 3600.0,
];
/// Upper bounds of numbers of rows.
const ROWS: [f64; 10] = [1.0, 2.0, 5.0, 10.0, 25.0, 50.0, 100.0, 250.0, 500.0, 1000.0];

/// The histograms and their upper bounds.
const HISTOGRAMS: [(&str, &[f64]); 6] = [
    ("neena_approve_to_start_seconds", &WAITS),
    ("neena_journal_batch_rows", &ROWS),
    ("neena_journal_commit_seconds", &SHORT),
    ("neena_claim_seconds", &SHORT),
    ("neena_http_request_seconds", &WAITS),
    ("neena_attempt_seconds", &LONG),
];

/// Starts to count. Called once, on a runtime, before anything is counted.
pub(super) fn install() -> anyhow::Result<PrometheusHandle> {
    let mut builder = PrometheusBuilder::new();
    for (name, bounds) in HISTOGRAMS {
        builder = builder
            .set_buckets_for_metric(Matcher::Full(name.to_owned()), bounds)
            .context("a histogram has no bounds")?;
    }
    let handle = builder
        .install_recorder()
        .context("cannot start to count for /metrics")?;
    neena_api::metrics::describe();
    keep(handle.clone());
    Ok(handle)
}

/// Keeps the memory that histograms take in bounds.
fn keep(handle: PrometheusHandle) {
    tokio::spawn(async move {
        loop {
            tokio::time::sleep(UPKEEP).await;
            handle.run_upkeep();
        }
    });
}
