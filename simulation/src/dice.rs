//! Chance, from one seed.

use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

/// A small generator (SplitMix64, Steele et al. 2014). One thread rolls it, so it needs no lock.
#[derive(Debug)]
pub struct Dice(AtomicU64);

impl Dice {
    /// The dice of one part of a world: parts do not disturb each other's luck.
    pub fn new(seed: u64, part: u64) -> Dice {
        let dice = Dice(AtomicU64::new(
            seed ^ part.wrapping_mul(0xd134_2543_de82_ef95),
        ));
        dice.roll();
        dice
    }

    /// Any number.
    pub fn roll(&self) -> u64 {
        let state = self
            .0
            .load(Ordering::Relaxed)
            .wrapping_add(0x9e37_79b9_7f4a_7c15);
        self.0.store(state, Ordering::Relaxed);
        let mut z = state;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }

    /// A number less than `bound`; 0 for no bound.
    pub fn below(&self, bound: u64) -> u64 {
        self.roll() % bound.max(1)
    }

    /// A number from `low` to `high`, both included.
    pub fn between(&self, low: u64, high: u64) -> u64 {
        low + self.below(high.saturating_sub(low) + 1)
    }

    /// True so many times in a thousand.
    pub fn chance(&self, per_mille: u64) -> bool {
        per_mille > 0 && self.below(1_000) < per_mille
    }

    /// So many milliseconds, both included.
    pub fn millis(&self, low: u64, high: u64) -> Duration {
        Duration::from_millis(self.between(low, high))
    }

    /// One of them.
    pub fn pick<'a, T>(&self, of: &'a [T]) -> Option<&'a T> {
        of.get(usize::try_from(self.below(of.len() as u64)).unwrap_or(0))
    }
}
