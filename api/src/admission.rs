//! How much is taken on at a time: beyond it requests wait briefly, and beyond that they are turned away
//! at once, so that those under way are served as fast as ever.

use std::num::NonZeroU32;
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Arc, OnceLock};
use std::time::Duration;

use axum::http::Method;
use governor::clock::{Clock, DefaultClock};
use governor::{DefaultKeyedRateLimiter, Quota, RateLimiter};
use neena_engine::ids::UserId;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};

use crate::config::Limits;
use crate::error::{ApiError, Overload};

/// After so many requests the users that asked for nothing lately are forgotten.
const FORGET: u32 = 4_096;

/// Who may come in now.
#[derive(Debug)]
pub(crate) struct Admission {
    reads: Gate,
    writes: Gate,
    rates: Option<Rates>,
}

impl Admission {
    pub(crate) fn new(limits: &Limits) -> Admission {
        Admission {
            reads: Gate::new(limits.reads, limits),
            writes: Gate::new(limits.writes, limits),
            rates: NonZeroU32::new(limits.rate).map(Rates::new),
        }
    }

    /// Counts a request of `user`; refused if there were too many lately.
    pub(crate) fn count(&self, user: UserId) -> Result<(), ApiError> {
        match &self.rates {
            Some(rates) => rates.count(user),
            None => Ok(()),
        }
    }

    /// The turn of a request that is about to be worked on. Reads and writes do not wait for each other.
    pub(crate) fn turn(&self, method: &Method) -> Turn {
        let gate = match method.is_safe() {
            true => &self.reads,
            false => &self.writes,
        };
        Turn {
            gate: gate.clone(),
            place: Arc::default(),
        }
    }
}

/// So many at a time, and so many who wait.
#[derive(Clone, Debug)]
struct Gate {
    /// Those served and those waiting.
    inside: Arc<Semaphore>,
    served: Arc<Semaphore>,
    patience: Duration,
}

impl Gate {
    fn new(most: usize, limits: &Limits) -> Gate {
        Gate {
            inside: Arc::new(Semaphore::new(most + limits.waiting)),
            served: Arc::new(Semaphore::new(most)),
            patience: limits.patience,
        }
    }

    async fn enter(&self) -> Result<Place, ApiError> {
        let full = || ApiError::Overloaded(Overload::Queue);
        let inside = Arc::clone(&self.inside).try_acquire_owned();
        let inside = inside.map_err(|_| full())?;
        let served = Arc::clone(&self.served).acquire_owned();
        match tokio::time::timeout(self.patience, served).await {
            Ok(Ok(served)) => Ok(Place {
                _served: served,
                _inside: inside,
            }),
            Ok(Err(_)) | Err(_) => Err(full()),
        }
    }
}

/// A place among those served, given back when dropped.
#[derive(Debug)]
struct Place {
    _served: OwnedSemaphorePermit,
    _inside: OwnedSemaphorePermit,
}

/// One request's turn. It is taken once what the client sends was read: a slow client holds no place.
#[derive(Clone, Debug)]
pub(crate) struct Turn {
    gate: Gate,
    place: Arc<OnceLock<Place>>,
}

impl Turn {
    /// Waits for a place. It is kept until the last clone of this turn is dropped.
    pub(crate) async fn take(&self) -> Result<(), ApiError> {
        if self.place.get().is_none() {
            let place = self.gate.enter().await?;
            // A request reads its body once.
            let _ = self.place.set(place);
        }
        Ok(())
    }
}

/// Requests a second per user.
#[derive(Debug)]
struct Rates {
    limiter: DefaultKeyedRateLimiter<UserId>,
    clock: DefaultClock,
    counted: AtomicU32,
}

impl Rates {
    fn new(rate: NonZeroU32) -> Rates {
        Rates {
            limiter: RateLimiter::keyed(Quota::per_second(rate)),
            clock: DefaultClock::default(),
            counted: AtomicU32::new(0),
        }
    }

    fn count(&self, user: UserId) -> Result<(), ApiError> {
        let counted = self.counted.fetch_add(1, Ordering::Relaxed);
        if counted % FORGET == FORGET - 1 {
            self.limiter.retain_recent();
        }
        self.limiter
            .check_key(&user)
            .map_err(|until| ApiError::TooMany(until.wait_time_from(self.clock.now())))
    }
}

#[cfg(test)]
#[expect(clippy::unwrap_used, reason = "tests")]
mod tests {
    use super::*;

    fn limits() -> Limits {
        Limits {
            reads: 1,
            writes: 2,
            waiting: 1,
            patience: Duration::from_millis(100),
            rate: 0,
        }
    }

    #[tokio::test(start_paused = true)]
    async fn whoever_finds_the_queue_full_is_turned_away_at_once() {
        let admission = Admission::new(&limits());
        let served = admission.turn(&Method::GET);
        served.take().await.unwrap();
        let waiting = admission.turn(&Method::GET);
        let waits = tokio::spawn(async move { waiting.take().await.is_ok() });
        tokio::task::yield_now().await;
        let start = tokio::time::Instant::now();
        admission.turn(&Method::GET).take().await.unwrap_err();
        assert_eq!(start.elapsed(), Duration::ZERO);
        admission.turn(&Method::PUT).take().await.unwrap();
        drop(served);
        assert!(waits.await.unwrap(), "a place was given back");
    }

    #[tokio::test(start_paused = true)]
    async fn whoever_waits_too_long_is_turned_away_and_leaves_the_queue() {
        let admission = Admission::new(&limits());
        let served = admission.turn(&Method::GET);
        served.take().await.unwrap();
        for _ in 0..3 {
            let start = tokio::time::Instant::now();
            admission.turn(&Method::GET).take().await.unwrap_err();
            assert!(start.elapsed() >= Duration::from_millis(100));
        }
        drop(served);
        admission.turn(&Method::GET).take().await.unwrap();
    }

    #[test]
    fn one_users_haste_is_not_anothers() {
        let admission = Admission::new(&Limits {
            rate: 2,
            ..limits()
        });
        let (hasty, other) = (UserId(uuid::Uuid::now_v7()), UserId(uuid::Uuid::now_v7()));
        let refused = (0..10).filter(|_| admission.count(hasty).is_err()).count();
        assert!((7..=8).contains(&refused), "{refused}");
        admission.count(other).unwrap();
    }
}
