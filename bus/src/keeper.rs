//! What must happen even if no worker runs: due runs wake, the dead are buried, forgotten messages are
//! published. One in every process.

use std::sync::Arc;
use std::time::Duration;

use neena_engine::Micros;
use neena_store::{Message, Outlet, Res, Store};
use tokio::time::{Instant, MissedTickBehavior};
use tokio_util::sync::CancellationToken;

/// Rows of each kind handled in one round.
const LIMIT: u16 = 500;
/// A call that takes longer says that the database is in trouble.
const SLOW: Duration = Duration::from_secs(3);

/// A keeper.
#[derive(Debug)]
pub struct Keeper {
    store: Arc<dyn Store>,
    outlet: Outlet,
    lease: Duration,
    /// Since when every call was answered in time.
    well_since: Instant,
    /// When the last round was, by the database's clock and by ours.
    last: Option<(Micros, Instant)>,
}

/// What a round did.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Kept {
    /// Runs whose time had come.
    pub woken: usize,
    /// Runs freed from workers that are dead.
    pub buried: usize,
    /// Messages found in the outbox.
    pub found: usize,
}

impl Keeper {
    /// A keeper among workers whose leases last `lease`.
    pub fn new(store: Arc<dyn Store>, outlet: Outlet, lease: Duration) -> Keeper {
        Keeper {
            store,
            outlet,
            lease,
            well_since: Instant::now(),
            last: None,
        }
    }

    /// One round. The dead are buried only if the database answered well for a whole lease: after an
    /// outage the living renew first.
    pub async fn run_once(&mut self) -> Res<Kept> {
        let now = self.store.now().await?;
        // The machine slept, or the clock was set: the living renew before anybody is declared dead.
        if self
            .last
            .is_some_and(|(last, at)| now.since(last) > at.elapsed() + SLOW)
        {
            self.well_since = Instant::now();
        }
        self.last = Some((now, Instant::now()));
        let woken = self.store.wake(LIMIT);
        let woken = Self::timed(&mut self.well_since, woken).await?;
        let buried = match self.well_since.elapsed() >= self.lease {
            true => Self::timed(&mut self.well_since, self.store.bury(LIMIT)).await?,
            false => Vec::new(),
        };
        let found = Self::timed(&mut self.well_since, self.store.outbox_take(LIMIT)).await?;
        let kept = Kept {
            woken: woken.len(),
            buried: buried.len(),
            found: found.len(),
        };
        self.outlet
            .hand(woken.into_iter().chain(buried).chain(found));
        Ok(kept)
    }

    /// A round each second, until `stop`.
    pub async fn run(mut self, stop: CancellationToken) {
        let mut ticks = tokio::time::interval(Duration::from_secs(1));
        ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
        loop {
            tokio::select! {
                biased;
                () = stop.cancelled() => return,
                _ = ticks.tick() => {}
            }
            match self.run_once().await {
                Ok(kept) if kept != Kept::default() => tracing::debug!(?kept, "kept"),
                Ok(_) => {}
                Err(error) => tracing::warn!(%error, "the keeper got no answer; it tries again"),
            }
        }
    }

    /// A call, and whether the database does well.
    async fn timed(
        well_since: &mut Instant,
        call: impl Future<Output = Res<Vec<Message>>>,
    ) -> Res<Vec<Message>> {
        let start = Instant::now();
        let answer = call.await;
        if answer.is_err() || start.elapsed() > SLOW {
            *well_since = Instant::now();
        }
        answer
    }
}
