//! When a failed attempt is tried again, and after how long.

use std::time::Duration;

use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};

use crate::ids::RunId;

/// How the delay grows from one attempt to the next.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Backoff {
    Constant,
    #[default]
    Exponential,
}

/// The retry policy of an operation, every default written out.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Retry {
    /// Attempts in all, the first included; at least 1.
    pub max_attempts: u32,
    /// Delay before the second attempt, in milliseconds; the base of the growth.
    pub delay_ms: u64,
    pub backoff: Backoff,
    /// The delay never grows past this many milliseconds.
    pub max_delay_ms: u64,
}

impl Retry {
    /// One attempt: what an operation without `retry` gets.
    pub const NONE: Retry = Retry {
        max_attempts: 1,
        delay_ms: 0,
        backoff: Backoff::Constant,
        max_delay_ms: 0,
    };

    /// The delay after attempt `attempt` (from 1) failed: full jitter, uniform between zero and the
    /// backed-off delay (Brooker, "Exponential Backoff And Jitter", 2015). The jitter is drawn from a hash
    /// of the attempt's identity, so that a crash in between does not change it.
    pub fn delay(&self, run: RunId, index: u32, item: Option<u32>, attempt: u32) -> Duration {
        let full = match self.backoff {
            Backoff::Constant => self.delay_ms,
            Backoff::Exponential => {
                let doublings = attempt.saturating_sub(1).min(62);
                self.delay_ms.saturating_mul(1 << doublings)
            }
        }
        .min(self.max_delay_ms);
        let mut hasher = Sha256::new();
        hasher.update(run.0.as_bytes());
        hasher.update(index.to_be_bytes());
        hasher.update(item.map_or(-1, i64::from).to_be_bytes());
        hasher.update(attempt.to_be_bytes());
        let digest: [u8; 32] = hasher.finalize().into();
        let mut head = [0; 8];
        head.copy_from_slice(&digest[..8]);
        let micros = (u128::from(full) * 1_000 * u128::from(u64::from_be_bytes(head))) >> 64;
        Duration::from_micros(u64::try_from(micros).unwrap_or(u64::MAX))
    }
}
