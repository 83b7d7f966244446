//! Told the moment a run of this process has ended: by the counter that is raised then. To look into the database again and
//! again would be a load of its own, on the cores that are measured.

use std::sync::{Arc, OnceLock};

use metrics::{
    Counter, CounterFn, Gauge, Histogram, Key, KeyName, Metadata, Recorder, SharedString, Unit,
};
use tokio::sync::Notify;

/// Raised once the end of a run is committed.
const ENDED: &str = "neena_runs_ended_total";

/// Wakes whoever waits for the end of a run; of any.
pub fn bell() -> &'static Notify {
    static BELL: OnceLock<Arc<Bell>> = OnceLock::new();
    let bell = BELL.get_or_init(|| {
        let bell = Arc::new(Bell(Notify::new()));
        // Where others listen already nobody is woken, and who waits looks now and then.
        let _ = metrics::set_global_recorder(Listener(bell.clone()));
        bell
    });
    &bell.0
}

struct Bell(Notify);

impl CounterFn for Bell {
    fn increment(&self, _: u64) {
        self.0.notify_waiters();
    }

    fn absolute(&self, _: u64) {}
}

/// Listens to one counter and to nothing else.
struct Listener(Arc<Bell>);

impl Recorder for Listener {
    fn describe_counter(&self, _: KeyName, _: Option<Unit>, _: SharedString) {}
    fn describe_gauge(&self, _: KeyName, _: Option<Unit>, _: SharedString) {}
    fn describe_histogram(&self, _: KeyName, _: Option<Unit>, _: SharedString) {}

    fn register_counter(&self, key: &Key, _: &Metadata<'_>) -> Counter {
        match key.name() {
            ENDED => Counter::from_arc(self.0.clone()),
            _ => Counter::noop(),
        }
    }

    fn register_gauge(&self, _: &Key, _: &Metadata<'_>) -> Gauge {
        Gauge::noop()
    }

    fn register_histogram(&self, _: &Key, _: &Metadata<'_>) -> Histogram {
        Histogram::noop()
    }
}
