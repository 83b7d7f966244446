//! What exchanges and queues are called at the broker.

use neena_engine::ids::WorkerId;

use crate::BusError;
use crate::remote::TaskQueue;

/// The names of one installation, which all begin with its prefix.
#[derive(Clone, Debug)]
pub(crate) struct Names(String);

impl Names {
    /// Names that begin with `prefix`: letters, digits, `-`, `_` and `.`, at most 64 of them.
    pub(crate) fn new(prefix: &str) -> Result<Names, BusError> {
        let fine = |letter: char| letter.is_ascii_alphanumeric() || "-_.".contains(letter);
        match !prefix.is_empty() && prefix.len() <= 64 && prefix.chars().all(fine) {
            true => Ok(Names(prefix.to_owned())),
            false => Err(BusError(format!("{prefix:?} is no prefix for queues"))),
        }
    }

    /// The topic exchange that every message of the outbox goes to.
    pub(crate) fn events(&self) -> String {
        format!("{}.events", self.0)
    }

    /// The queue of wake-ups.
    pub(crate) fn runs(&self) -> String {
        format!("{}.runs", self.0)
    }

    /// The exchange and the queue of dead letters.
    pub(crate) fn dead(&self) -> String {
        format!("{}.dead", self.0)
    }

    /// A queue of tasks.
    pub(crate) fn tasks(&self, queue: &TaskQueue) -> String {
        format!("{}.tasks.{queue}", self.0)
    }

    /// The queue of a worker's replies.
    pub(crate) fn replies(&self, worker: WorkerId) -> String {
        format!("{}.replies.{worker}", self.0)
    }

    /// The queue of the pokes and orders to a worker.
    pub(crate) fn control(&self, worker: WorkerId) -> String {
        format!("{}.control.{worker}", self.0)
    }
}
