//! What must happen even if no worker runs: due runs wake, the dead are buried, forgotten messages are
//! published, questions that nobody answers in time are decided. One in every process.

mod census;
mod dues;
mod lapses;

use std::sync::Arc;
use std::time::Duration;

use neena_engine::Micros;
use neena_store::{Message, Outlet, Res, Store};
use tokio::time::{Instant, MissedTickBehavior};
use tokio_util::sync::CancellationToken;

use crate::{Bus, Standing};
use census::Census;
use dues::Dues;

/// Rows of each kind handled in one round.
const LIMIT: u16 = 500;
/// Rounds of each kind in a row, when there is more to do than fits into one.
const ROUNDS: usize = 20;
/// A call that takes longer says that the database is in trouble.
const SLOW: Duration = Duration::from_secs(3);

/// A keeper.
#[derive(Debug)]
pub struct Keeper {
    store: Arc<dyn Store>,
    outlet: Outlet,
    lease: Duration,
    bus: Option<Arc<dyn Bus>>,
    /// Since when every call was answered in time.
    well_since: Instant,
    /// When the last round was, by the database's clock and by ours.
    last: Option<(Micros, Instant)>,
    census: Census,
    dues: Dues,
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
    /// Questions of whose time it reminded, or which time decided.
    pub lapsed: usize,
}

impl Keeper {
    /// A keeper among workers whose leases last `lease`.
    pub fn new(store: Arc<dyn Store>, outlet: Outlet, lease: Duration) -> Keeper {
        Keeper {
            store,
            outlet,
            lease,
            bus: None,
            well_since: Instant::now(),
            last: None,
            census: Census::default(),
            dues: Dues::default(),
        }
    }

    /// Looks for forgotten messages only while this bus takes any.
    pub fn over(self, bus: Arc<dyn Bus>) -> Keeper {
        Keeper {
            bus: Some(bus),
            ..self
        }
    }

    /// Wakes due runs up to 50 ms late, by this number: keepers of other processes fire the same dues, and
    /// so one of them is first and the others find nothing left to do.
    pub fn apart(self, chance: u64) -> Keeper {
        Keeper {
            dues: Dues::late_by(chance),
            ..self
        }
    }

    /// One round. The dead are buried only if the database answered well for a whole lease: after an
    /// outage the living renew first.
    pub async fn run_once(&mut self) -> Res<Kept> {
        let now = self.now().await?;
        let woken = self.wake().await?;
        let buried = match self.well_since.elapsed() >= self.lease {
            true => self.bury().await?,
            false => 0,
        };
        metrics::counter!("neena_takeovers_total").increment(buried as u64);
        let found = match self.gets_through() {
            true => self.find().await?,
            false => 0,
        };
        let lapsed = self.lapse().await?;
        if self.census.is_time() {
            let store = Arc::clone(&self.store);
            let census = self.timed(store.census()).await?;
            self.census.show(&census, now);
        }
        Ok(Kept {
            woken,
            buried,
            found,
            lapsed,
        })
    }

    /// A round each second, and wake-ups on time in between, until `stop`.
    pub async fn run(mut self, stop: CancellationToken) {
        let mut ticks = tokio::time::interval(Duration::from_secs(1));
        ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
        loop {
            tokio::select! {
                biased;
                () = stop.cancelled() => return,
                () = self.dues.next() => {
                    self.dues.fired();
                    if let Err(error) = self.wake().await {
                        tracing::warn!(%error, "due runs are not woken yet; the next round tries again");
                    }
                }
                _ = ticks.tick() => {
                    let answer = self.run_once().await;
                    let answer = match answer {
                        Ok(kept) => self.look_ahead().await.map(|()| kept),
                        error => error,
                    };
                    self.census.reached(answer.is_ok());
                    match answer {
                        Ok(kept) if kept != Kept::default() => tracing::debug!(?kept, "kept"),
                        Ok(_) => {}
                        Err(error) => tracing::warn!(%error, "the keeper got no answer; it tries again"),
                    }
                }
            }
        }
    }

    /// The database's clock. If it went on while ours did not, the machine slept or a clock was set: the
    /// living renew before anybody is declared dead.
    async fn now(&mut self) -> Res<Micros> {
        let store = Arc::clone(&self.store);
        let now = self.timed(store.now()).await?;
        if self
            .last
            .is_some_and(|(last, at)| now.since(last) > at.elapsed() + SLOW)
        {
            self.well_since = Instant::now();
        }
        self.last = Some((now, Instant::now()));
        Ok(now)
    }

    /// Remembers what is due before the next look.
    async fn look_ahead(&mut self) -> Res<()> {
        let store = Arc::clone(&self.store);
        let dues = self.timed(store.due_within(dues::AHEAD, LIMIT)).await?;
        if let Some((now, at)) = self.last {
            self.dues
                .set(dues.into_iter().map(|due| (at + due.since(now), due)));
        }
        Ok(())
    }

    /// Whether what is found now would be published soon. A relay that is behind would only collect
    /// further copies of what waits in it; relays of other processes may be quicker.
    fn gets_through(&self) -> bool {
        if self.outlet.waiting() >= usize::from(LIMIT) {
            return false;
        }
        let standing = self.bus.as_ref().map(|bus| bus.standing());
        standing.is_none_or(|standing| standing == Standing::Up)
    }

    async fn wake(&mut self) -> Res<usize> {
        self.repeat(|store| async move { store.wake(LIMIT).await })
            .await
    }

    async fn bury(&mut self) -> Res<usize> {
        self.repeat(|store| async move { store.bury(LIMIT).await })
            .await
    }

    async fn find(&mut self) -> Res<usize> {
        self.repeat(|store| async move { store.outbox_take(LIMIT).await })
            .await
    }

    /// Calls until there is no more to do, and hands on the messages; how many.
    async fn repeat<F, Answer>(&mut self, call: F) -> Res<usize>
    where
        F: Fn(Arc<dyn Store>) -> Answer,
        Answer: Future<Output = Res<Vec<Message>>>,
    {
        let mut total = 0;
        for _ in 0..ROUNDS {
            let store = Arc::clone(&self.store);
            let messages = self.timed(call(store)).await?;
            let done = messages.len();
            total += done;
            self.outlet.hand(messages);
            if done < usize::from(LIMIT) {
                break;
            }
        }
        Ok(total)
    }

    /// A call, and whether the database does well.
    async fn timed<T>(&mut self, call: impl Future<Output = Res<T>>) -> Res<T> {
        let start = Instant::now();
        let answer = call.await;
        if answer.is_err() || start.elapsed() > SLOW {
            self.well_since = Instant::now();
        }
        answer
    }
}
