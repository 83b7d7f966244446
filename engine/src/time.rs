//! Time as the engine sees it: an argument, never a clock.

use std::fmt;
use std::time::Duration;

use serde::{Deserialize, Serialize};

/// Microseconds since the Unix epoch, by the database's clock.
#[derive(
    Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize,
)]
#[serde(transparent)]
pub struct Micros(pub i64);

impl Micros {
    /// This moment and `wait` later; saturates instead of wrapping.
    pub fn after(self, wait: Duration) -> Micros {
        Micros(
            self.0
                .saturating_add(i64::try_from(wait.as_micros()).unwrap_or(i64::MAX)),
        )
    }

    /// How long from `earlier` to this moment; zero if it is not earlier.
    pub fn since(self, earlier: Micros) -> Duration {
        Duration::from_micros(u64::try_from(self.0.saturating_sub(earlier.0)).unwrap_or(0))
    }
}

impl fmt::Display for Micros {
    /// RFC 3339 in UTC with six digits and `Z`.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match chrono::DateTime::from_timestamp_micros(self.0) {
            Some(time) => time.format("%Y-%m-%dT%H:%M:%S%.6fZ").fmt(f),
            None => write!(f, "{} µs", self.0),
        }
    }
}
