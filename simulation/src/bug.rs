//! The planted bugs: each must be noticed, or the simulation proves nothing.

use neena_store::Flaw;

/// Something that is done wrong on purpose.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Bug {
    /// By the store.
    Store(Flaw),
    /// Votes are read before the run is locked.
    VotesBeforeLock,
    /// Owners are told that their run goes on, whatever became of it.
    CancelNotTold,
    /// Who takes a run over is not told which attempts had started.
    StartsForgotten,
    /// What is signalled counts as seen, and the gates were not read.
    GatesNotRead,
    /// Who takes a run over is not told which gates were asked about.
    GatesForgotten,
    /// Approvals of a gate count before they are enough.
    VotesCountAsAnswers,
    /// Neither pokes nor beats tell of a signal.
    SignalsLost,
    /// Messages are handed over before what they tell is committed.
    PublishedBeforeCommit,
    /// Messages count as published although the broker is down.
    ConfirmedUnpublished,
    /// Tasks with an effect are planned as pure.
    EffectsRunAhead,
    /// A new connection does not tell that lazy commits may be lost.
    ReconnectsSilently,
    /// It tells so of durable commits only: lazy ones go on after what they build on was lost.
    LazyGoesOn,
}

impl Bug {
    /// Every one, with its name.
    pub const ALL: [(&'static str, Bug); 29] = [
        ("no-fence", Bug::Store(Flaw::NoFence)),
        ("outcomes-replaced", Bug::Store(Flaw::OutcomesReplaced)),
        ("parks-blindly", Bug::Store(Flaw::ParksBlindly)),
        ("finishes-blindly", Bug::Store(Flaw::FinishesBlindly)),
        ("claims-owned", Bug::Store(Flaw::ClaimsOwned)),
        ("epoch-not-raised", Bug::Store(Flaw::EpochNotRaised)),
        ("claims-not-counted", Bug::Store(Flaw::ClaimsNotCounted)),
        ("claim-outlives-owner", Bug::Store(Flaw::ClaimOutlivesOwner)),
        ("retry-keeps-rows", Bug::Store(Flaw::RetryKeepsRows)),
        ("durable-is-lazy", Bug::Store(Flaw::DurableIsLazy)),
        ("outbox-left-out", Bug::Store(Flaw::OutboxLeftOut)),
        ("never-buries", Bug::Store(Flaw::NeverBuries)),
        ("never-wakes", Bug::Store(Flaw::NeverWakes)),
        ("table-not-read", Bug::Store(Flaw::TableNotRead)),
        ("live-row-stays", Bug::Store(Flaw::LiveRowStays)),
        ("joins-lazily", Bug::Store(Flaw::JoinsLazily)),
        ("asks-unfenced", Bug::Store(Flaw::AsksUnfenced)),
        ("gates-not-read", Bug::GatesNotRead),
        ("gates-forgotten", Bug::GatesForgotten),
        ("votes-count-as-answers", Bug::VotesCountAsAnswers),
        ("votes-before-lock", Bug::VotesBeforeLock),
        ("cancel-not-told", Bug::CancelNotTold),
        ("starts-forgotten", Bug::StartsForgotten),
        ("signals-lost", Bug::SignalsLost),
        ("published-before-commit", Bug::PublishedBeforeCommit),
        ("confirmed-unpublished", Bug::ConfirmedUnpublished),
        ("effects-run-ahead", Bug::EffectsRunAhead),
        ("reconnects-silently", Bug::ReconnectsSilently),
        ("lazy-goes-on", Bug::LazyGoesOn),
    ];

    /// The one of that name.
    pub fn named(name: &str) -> Option<Bug> {
        let known = Bug::ALL.iter().find(|(known, _)| *known == name);
        known.map(|(_, bug)| *bug)
    }

    /// The store's part of it.
    pub(crate) fn flaw(self) -> Option<Flaw> {
        match self {
            Bug::Store(flaw) => Some(flaw),
            _ => None,
        }
    }
}
