//! Planted bugs: a simulation that does not notice them proves nothing.

/// Something the store does wrong, on purpose.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Flaw {
    /// Takes what an owner writes under any claim.
    NoFence,
    /// Writes the questions of an owner under any claim.
    AsksUnfenced,
    /// Replaces an outcome by whatever is written later.
    OutcomesReplaced,
    /// Parks a run although it is not as its owner saw it.
    ParksBlindly,
    /// Ends a run although it is not as its owner saw it.
    FinishesBlindly,
    /// Gives a run to a worker although another one owns it.
    ClaimsOwned,
    /// Claims without raising the epoch.
    EpochNotRaised,
    /// Claims without counting it.
    ClaimsNotCounted,
    /// Leaves its claim to a run that was freed.
    ClaimOutlivesOwner,
    /// Opens a new round without making room for its outcomes.
    RetryKeepsRows,
    /// Answers a durable commit before it is on the disk.
    DurableIsLazy,
    /// Sends messages without writing them to the outbox.
    OutboxLeftOut,
    /// Frees no run of a worker that is dead.
    NeverBuries,
    /// Wakes no parked run.
    NeverWakes,
    /// Finds no run in the table.
    TableNotRead,
    /// Leaves the live row of a run that has ended.
    LiveRowStays,
    /// Joins without waiting for the disk, and frees no run of a worker it does not know.
    JoinsLazily,
}
