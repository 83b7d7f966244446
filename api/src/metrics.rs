//! Every metric of an installation: its name, its unit and what it means, on one page. They are recorded
//! where things happen, by all parts of the program.

use std::fmt;
use std::sync::Arc;

use metrics::Unit;

/// What a metric is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Shape {
    /// Only grows.
    Counter,
    /// Goes up and down.
    Gauge,
    /// A distribution.
    Histogram,
}

/// A metric.
#[derive(Clone, Copy, Debug)]
pub struct Metric {
    pub name: &'static str,
    pub shape: Shape,
    pub unit: Unit,
    pub help: &'static str,
}

const fn counter(name: &'static str, help: &'static str) -> Metric {
    Metric {
        name,
        shape: Shape::Counter,
        unit: Unit::Count,
        help,
    }
}

const fn gauge(name: &'static str, unit: Unit, help: &'static str) -> Metric {
    Metric {
        name,
        shape: Shape::Gauge,
        unit,
        help,
    }
}

const fn histogram(name: &'static str, unit: Unit, help: &'static str) -> Metric {
    Metric {
        name,
        shape: Shape::Histogram,
        unit,
        help,
    }
}

/// All metrics.
pub const METRICS: [Metric; 29] = [
    counter(
        "neena_claims_total",
        "Runs claimed by this worker: `which` is `message` (named by one) or `table` (found there)",
    ),
    counter("neena_runs_ended_total", "Runs that ended here, by status"),
    counter(
        "neena_attempts_total",
        "Attempts of tasks that ended, by kind and outcome",
    ),
    counter("neena_retries_total", "Attempts after a failed one"),
    counter(
        "neena_takeovers_total",
        "Runs freed from workers whose lease ran out",
    ),
    counter(
        "neena_fenced_writes_total",
        "Writes under a claim that was lost: refused, as they must be",
    ),
    counter(
        "neena_outbox_published_total",
        "Messages the broker confirmed",
    ),
    counter(
        "neena_bus_reconnects_total",
        "Connections to the broker made anew",
    ),
    counter(
        "neena_remote_dispatches_total",
        "Tasks sent to other workers, by outcome",
    ),
    counter(
        "neena_http_requests_total",
        "Requests answered, by method, route and status",
    ),
    counter(
        "neena_rejected_total",
        "Requests answered with a 429 or a 503, by reason",
    ),
    counter(
        "neena_deliveries_total",
        "Attempts to tell hooks of approvals, by outcome: done, again or failed",
    ),
    gauge("neena_slots", Unit::Count, "Task slots of this worker"),
    gauge("neena_slots_busy", Unit::Count, "Task slots in use"),
    gauge("neena_runs_held", Unit::Count, "Runs this worker holds"),
    gauge(
        "neena_lease_seconds_left",
        Unit::Seconds,
        "How long this worker's lease still holds",
    ),
    gauge(
        "neena_ready_runs",
        Unit::Count,
        "Approved runs that no worker has claimed",
    ),
    gauge(
        "neena_queue_lag_seconds",
        Unit::Seconds,
        "How long the oldest of them has waited",
    ),
    gauge(
        "neena_outbox_rows",
        Unit::Count,
        "Messages committed and not yet confirmed",
    ),
    gauge(
        "neena_outbox_age_seconds",
        Unit::Seconds,
        "How long the oldest of them has waited",
    ),
    gauge(
        "neena_workers_alive",
        Unit::Count,
        "Workers whose lease holds",
    ),
    gauge(
        "neena_broker_up",
        Unit::Count,
        "1 while messages get through to the broker",
    ),
    gauge(
        "neena_database_up",
        Unit::Count,
        "1 while the database answers",
    ),
    histogram(
        "neena_approve_to_start_seconds",
        Unit::Seconds,
        "From a run's approval to its claim by a worker",
    ),
    histogram(
        "neena_journal_batch_rows",
        Unit::Count,
        "Rows recorded in one commit",
    ),
    histogram(
        "neena_journal_commit_seconds",
        Unit::Seconds,
        "How long such a commit took, by whether it was durable",
    ),
    histogram(
        "neena_claim_seconds",
        Unit::Seconds,
        "How long a claim took",
    ),
    histogram(
        "neena_http_request_seconds",
        Unit::Seconds,
        "How long a request took, by route",
    ),
    histogram(
        "neena_attempt_seconds",
        Unit::Seconds,
        "How long an attempt of a task took, by kind",
    ),
];

/// Tells the recorder of this process what each metric means. Called once, after the recorder is there.
pub fn describe() {
    for Metric {
        name,
        shape,
        unit,
        help,
    } in METRICS
    {
        match shape {
            Shape::Counter => metrics::describe_counter!(name, unit, help),
            Shape::Gauge => metrics::describe_gauge!(name, unit, help),
            Shape::Histogram => metrics::describe_histogram!(name, unit, help),
        }
    }
}

/// Where the text of `/metrics` comes from: the recorder that the program has installed.
#[derive(Clone)]
pub struct Metrics(Arc<dyn Fn() -> String + Send + Sync>);

impl Metrics {
    /// By a function that writes all that was recorded, in Prometheus' text format.
    pub fn new(render: impl Fn() -> String + Send + Sync + 'static) -> Metrics {
        Metrics(Arc::new(render))
    }

    pub(crate) fn render(&self) -> String {
        (self.0)()
    }
}

impl fmt::Debug for Metrics {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Metrics").finish_non_exhaustive()
    }
}
