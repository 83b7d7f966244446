//! Tasks that travel: sent where the code or a free slot is, and taken from others.
//!
//! The owner of a run stays the only one that records its progress. What it sends is an attempt; what comes
//! back is an outcome that counts only while its dispatch is the attempt's newest. A message lost or doubled
//! costs a second execution at most.

mod beats;
mod dispatches;
mod guest;
mod host;
mod owner;
mod roster;
mod standing;

use std::sync::Arc;
use std::time::Duration;

use neena_bus::remote::{RemoteError, TaskBus};
use neena_engine::ids::WorkerId;
use neena_engine::run::{Outcome, TaskError};
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

pub(crate) use dispatches::Dispatches;
pub(crate) use guest::Guests;
pub(crate) use owner::{Sending, Went};
pub(crate) use roster::{Roster, queue_of};

use crate::Shared;
use standing::Standings;

/// So often an executor says that it is alive.
const BEAT: Duration = Duration::from_secs(5);
/// So long an executor may be silent before what it runs is sent again.
const SILENCE: Duration = Duration::from_secs(20);

/// The worker's part in tasks that travel.
#[derive(Debug)]
pub(crate) struct Remote {
    bus: Arc<dyn TaskBus>,
    /// Names this process's queues; it stays the same through incarnations.
    address: WorkerId,
    pub dispatches: Dispatches,
    pub guests: Guests,
    standings: Standings,
}

impl Remote {
    pub fn new(bus: Arc<dyn TaskBus>, address: WorkerId) -> Remote {
        Remote {
            bus,
            address,
            dispatches: Dispatches::default(),
            guests: Guests::new(),
            standings: Standings::default(),
        }
    }

    pub fn bus(&self) -> &dyn TaskBus {
        self.bus.as_ref()
    }
}

/// Starts what goes on behind: taking tasks until `stop`, and hearing what is said until `silence`.
pub(crate) fn start(
    shared: &Arc<Shared>,
    loops: &TaskTracker,
    stop: &CancellationToken,
    listeners: &TaskTracker,
    silence: &CancellationToken,
) {
    if shared.remote.is_none() {
        return;
    }
    loops.spawn(host::run(shared.clone(), stop.clone()));
    listeners.spawn(host::orders(shared.clone(), silence.clone()));
    listeners.spawn(beats::run(shared.clone(), silence.clone()));
    listeners.spawn(standing::run(shared.clone(), silence.clone()));
    listeners.spawn(dispatches::replies(shared.clone(), silence.clone()));
}

/// Errors that came before anything was done outside.
const BEFORE_EFFECT: [&str; 4] = [
    "host_unavailable",
    "invalid_arguments",
    "not_hosted",
    NOT_PERMITTED,
];
/// It was stopped, whoever asked for it.
const STOPPED: &str = "stopped";
/// The owner did not permit a task that needs it.
const NOT_PERMITTED: &str = "not_permitted";

/// An outcome as it travels.
fn travelling(outcome: Outcome) -> Result<neena_engine::Json, RemoteError> {
    let error = |code: &str, message: &str| RemoteError {
        code: code.to_owned(),
        message: message.to_owned(),
        retryable: true,
        before_effect: false,
    };
    match outcome {
        Outcome::Completed(result) => Ok(result),
        Outcome::Failed(TaskError {
            kind,
            message,
            retryable,
        }) => Err(RemoteError {
            before_effect: BEFORE_EFFECT.contains(&kind.as_str()),
            code: kind,
            message,
            retryable,
        }),
        Outcome::Stopped => Err(error(STOPPED, "the task was stopped")),
        Outcome::Withdrawn => Err(RemoteError {
            before_effect: true,
            ..error(STOPPED, "the task was not started")
        }),
    }
}
