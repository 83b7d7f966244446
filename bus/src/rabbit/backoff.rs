//! How long to wait before the next try.

use std::time::Duration;

use tokio::time::Instant;
use uuid::Uuid;

const FIRST: Duration = Duration::from_millis(100);
const LONGEST: Duration = Duration::from_secs(5);

/// Exponential, with full jitter: many processes that lost the same broker do not come back together.
#[derive(Debug)]
pub(super) struct Backoff {
    next: Duration,
    tried: Instant,
}

impl Backoff {
    pub(super) fn new() -> Backoff {
        Backoff {
            next: FIRST,
            tried: Instant::now(),
        }
    }

    /// The delay until the next try, between none and the doubled one. What went well for longer than the
    /// longest delay starts anew.
    pub(super) fn delay(&mut self) -> Duration {
        if self.tried.elapsed() > self.next + LONGEST {
            self.next = FIRST;
        }
        let most = self.next;
        self.next = (most * 2).min(LONGEST);
        self.tried = Instant::now();
        most.mul_f64(f64::from(Uuid::new_v4().as_fields().0) / f64::from(u32::MAX))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test(start_paused = true)]
    async fn delays_double_up_to_five_seconds_and_start_anew_after_a_good_time() {
        let mut backoff = Backoff::new();
        for most in [100, 200, 400, 800, 1_600, 3_200, 5_000, 5_000] {
            assert_eq!(backoff.next, Duration::from_millis(most));
            let delay = backoff.delay();
            assert!(delay <= Duration::from_millis(most), "{delay:?}");
            tokio::time::advance(delay).await;
        }
        tokio::time::advance(LONGEST * 3).await;
        assert!(backoff.delay() <= FIRST);
    }

    #[test]
    fn delays_differ() {
        let delays: Vec<_> = (0..20).map(|_| Backoff::new().delay()).collect();
        assert!(delays.windows(2).any(|pair| pair[0] != pair[1]));
    }
}
