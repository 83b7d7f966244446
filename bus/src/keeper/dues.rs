//! When parked runs are due, so that they are woken on time and not at the next tick.

use std::collections::VecDeque;
use std::time::Duration;

use neena_engine::Micros;
use tokio::time::Instant;

/// How far ahead is looked: further than the next look.
pub(super) const AHEAD: Duration = Duration::from_secs(2);
/// The most that a due run is woken late on purpose, in milliseconds.
const LATE: u64 = 50;

/// Moments at which a run is due, soonest first.
#[derive(Debug, Default)]
pub(super) struct Dues {
    due: VecDeque<Instant>,
    chance: Option<u64>,
}

impl Dues {
    pub(super) fn late_by(chance: u64) -> Dues {
        Dues {
            chance: Some(chance),
            ..Dues::default()
        }
    }

    /// Remembers these instead of those before; each by our clock and by the database's.
    pub(super) fn set(&mut self, due: impl Iterator<Item = (Instant, Micros)>) {
        let chance = self.chance;
        self.due = due.map(|(at, due)| at + late(chance, due)).collect();
        self.due.make_contiguous().sort_unstable();
    }

    /// Waits for the next one; forever if there is none.
    pub(super) async fn next(&self) {
        match self.due.front() {
            Some(due) => tokio::time::sleep_until(*due).await,
            None => std::future::pending().await,
        }
    }

    /// Forgets those whose moment has come: one wake is for all of them.
    pub(super) fn fired(&mut self) {
        let now = Instant::now();
        while self.due.front().is_some_and(|due| *due <= now) {
            self.due.pop_front();
        }
    }
}

/// Another wait for each due and each keeper, the same each time it is asked for.
fn late(chance: Option<u64>, due: Micros) -> Duration {
    let Some(chance) = chance else {
        return Duration::ZERO;
    };
    let mixed = (chance ^ due.0.unsigned_abs()).wrapping_mul(0x9e37_79b9_7f4a_7c15) >> 32;
    Duration::from_millis(mixed % (LATE + 1))
}
