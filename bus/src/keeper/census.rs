//! What operators see of the queue: a cheap read every few seconds.

use std::time::Duration;

use neena_engine::Micros;
use tokio::time::Instant;

/// How often.
const EVERY: Duration = Duration::from_secs(5);

/// When the last one was.
#[derive(Debug, Default)]
pub(super) struct Census(Option<Instant>);

impl Census {
    pub(super) fn is_time(&self) -> bool {
        self.0.is_none_or(|last| last.elapsed() >= EVERY)
    }

    /// Sets the gauges.
    pub(super) fn show(&mut self, census: &neena_store::Census, now: Micros) {
        let age = |since: Option<Micros>| since.map_or(0.0, |since| now.since(since).as_secs_f64());
        metrics::gauge!("neena_ready_runs").set(census.ready as f64);
        metrics::gauge!("neena_queue_lag_seconds").set(age(census.ready_since));
        metrics::gauge!("neena_outbox_rows").set(census.outbox as f64);
        metrics::gauge!("neena_outbox_age_seconds").set(age(census.outbox_since));
        metrics::gauge!("neena_workers_alive").set(census.workers as f64);
        self.0 = Some(Instant::now());
    }

    /// Whether the database answered.
    pub(super) fn reached(&self, reached: bool) {
        metrics::gauge!("neena_database_up").set(f64::from(u8::from(reached)));
    }
}
