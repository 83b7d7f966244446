//! What an entry's `then` comes to, given the live row it finds: the same for every store.

use std::sync::Arc;

use neena_engine::Micros;
use neena_engine::run::{Ending, Intent, LiveRun, Phase, Then};

use crate::Entry;

/// What becomes of the run.
pub(crate) enum Effect<'a> {
    /// Its owner keeps it.
    Hold,
    /// Its owner keeps it, because what it has seen no longer stands.
    Stale,
    /// Nobody owns it until it is woken.
    Park {
        phase: Phase,
        wake_at: Option<Micros>,
        reason: Option<&'a Arc<str>>,
    },
    /// It ends.
    Finish(&'a Ending),
    /// It was cancelled, and is cleaned up now.
    Close(&'a Arc<str>),
    /// Anybody may take it.
    Yield,
}

/// Park and finish apply only to a running run whose inbox is as the owner has seen it; a close only to
/// one that is closing. A park that was asked to pause pauses.
pub(crate) fn effect<'a>(entry: &'a Entry, live: &LiveRun) -> Effect<'a> {
    let as_seen = live.phase == Phase::Running && live.inbox_seq == entry.seen;
    match &entry.record.then {
        Then::Hold => Effect::Hold,
        Then::Park { wake_at, reason } if as_seen => match live.intent {
            Some(Intent::Pause) => Effect::Park {
                phase: Phase::Paused,
                wake_at: None,
                reason: reason.as_ref(),
            },
            None => Effect::Park {
                phase: Phase::Parked,
                wake_at: *wake_at,
                reason: reason.as_ref(),
            },
        },
        Then::Finish(ending) if as_seen => Effect::Finish(ending),
        Then::Close { body } if live.phase == Phase::Closing => Effect::Close(body),
        Then::Yield => Effect::Yield,
        Then::Park { .. } | Then::Finish(_) | Then::Close { .. } => Effect::Stale,
    }
}
