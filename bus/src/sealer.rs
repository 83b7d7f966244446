//! Seals what was decided: within a second an entry of the decision log has its number and its hash. One in every
//! process; they leave to each other what one of them is at.

use std::sync::Arc;
use std::time::Duration;

use neena_store::{Res, Store};
use tokio::time::MissedTickBehavior;
use tokio_util::sync::CancellationToken;

/// Entries sealed in one round.
const LIMIT: u64 = 5_000;
/// From one round to the next: an entry is sealed within a second, the work included.
const EVERY: Duration = Duration::from_millis(500);

/// A sealer.
#[derive(Debug)]
pub struct Sealer {
    store: Arc<dyn Store>,
}

impl Sealer {
    /// A sealer of a store's decision log.
    pub fn new(store: Arc<dyn Store>) -> Sealer {
        Sealer { store }
    }

    /// One round; how many entries were sealed.
    pub async fn run_once(&self) -> Res<u64> {
        self.store.seal(LIMIT).await
    }

    /// Rounds until `stop`, and a last one, for what was decided while the process came to its end.
    pub async fn run(self, stop: CancellationToken) {
        let mut ticks = tokio::time::interval(EVERY);
        ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
        loop {
            let last = tokio::select! {
                biased;
                () = stop.cancelled() => true,
                _ = ticks.tick() => false,
            };
            match self.run_once().await {
                Ok(0) => {}
                Ok(sealed) => tracing::debug!(sealed, "sealed entries of the decision log"),
                Err(error) => tracing::warn!(
                    %error,
                    "the decision log is not sealed up to its end yet; the next round tries again"
                ),
            }
            if last {
                return;
            }
        }
    }
}
