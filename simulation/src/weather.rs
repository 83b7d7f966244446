//! What goes wrong, how often, in one world. Each seed has its own mixture: some faults only show without others.

use crate::dice::Dice;

/// Chances in a thousand, per call or message, and numbers of incidents.
#[derive(Clone, Debug, Default)]
pub struct Weather {
    // The database, per call.
    /// It is not reached: nothing is written.
    pub unavailable: u64,
    /// It is written, and the answer is lost.
    pub answer_lost: u64,
    /// It is not written, and nobody knows.
    pub call_lost: u64,
    /// The answer is lost, and it is written seconds later.
    pub ghost: u64,
    /// It takes up to seconds.
    pub slow: u64,
    // The broker, per message or call.
    pub dropped: u64,
    pub doubled: u64,
    pub delayed: u64,
    pub reordered: u64,
    pub publish_failed: u64,
    pub confirm_lost: u64,
    pub poke_dropped: u64,
    // Incidents.
    pub crashes: u64,
    pub pauses: u64,
    pub stops: u64,
    pub keeper_deaths: u64,
    pub code_gone: u64,
    pub database_crashes: u64,
    pub outages: u64,
    pub disk_full: u64,
    pub slow_spells: u64,
    pub broker_outages: u64,
    pub purges: u64,
}

impl Weather {
    /// The weather of a seed: about half of the faults there are.
    pub fn of(dice: &Dice) -> Weather {
        let some = |most: u64| match dice.chance(500) {
            true => dice.between(1, most),
            false => 0,
        };
        Weather {
            unavailable: some(40),
            answer_lost: some(40),
            call_lost: some(40),
            ghost: some(30),
            slow: some(20),
            dropped: some(300),
            doubled: some(300),
            delayed: some(300),
            reordered: some(500),
            publish_failed: some(100),
            confirm_lost: some(100),
            poke_dropped: some(800),
            crashes: some(6),
            pauses: some(3),
            stops: some(2),
            keeper_deaths: some(2),
            code_gone: some(2),
            database_crashes: some(3),
            outages: some(2),
            disk_full: some(1),
            slow_spells: some(1),
            broker_outages: some(2),
            purges: some(2),
        }
    }
}
