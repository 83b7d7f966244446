//! Telling workers to look again, without anybody waiting for the broker.

use std::sync::Arc;
use std::time::Duration;

use neena_bus::Bus;
use neena_engine::ids::{RunId, WorkerId};
use tokio::sync::mpsc;

/// Pokes that may wait for the bus; beyond that the worker's next beat finds what they would have said.
const WAITING: usize = 1_024;
/// Longest time the bus may take for one.
const LONGEST: Duration = Duration::from_secs(1);

/// The way to the workers.
#[derive(Debug)]
pub(crate) struct Pokes(mpsc::Sender<(WorkerId, RunId)>);

impl Pokes {
    /// Passes pokes on to the bus for as long as this is kept.
    pub(crate) fn through(bus: Arc<dyn Bus>) -> Pokes {
        let (sender, mut pokes) = mpsc::channel::<(WorkerId, RunId)>(WAITING);
        tokio::spawn(async move {
            while let Some((worker, run)) = pokes.recv().await {
                let sent = bus.poke(worker, run);
                if tokio::time::timeout(LONGEST, sent).await.is_err() {
                    tracing::debug!("the bus takes no poke; the worker's next beat tells the same");
                }
            }
        });
        Pokes(sender)
    }

    /// Hands a poke over, or drops it: it never waits.
    pub(crate) fn send(&self, worker: WorkerId, run: RunId) {
        if self.0.try_send((worker, run)).is_err() {
            tracing::debug!("a poke is dropped; the worker's next beat tells the same");
        }
    }
}
