//! Where messages go once what caused them is committed: to this process's relay, in memory.

use tokio::sync::mpsc;

use crate::Message;

/// Messages that may wait for the relay.
const WAITING: usize = 10_000;

/// The way to the relay; cheap to clone.
#[derive(Clone, Debug)]
pub struct Outlet(mpsc::Sender<Message>);

/// An outlet, and what the relay takes from it.
pub fn outlet() -> (Outlet, mpsc::Receiver<Message>) {
    let (sender, receiver) = mpsc::channel(WAITING);
    (Outlet(sender), receiver)
}

/// Counts the runs whose ends these messages tell of; called by whoever committed them.
pub(crate) fn count_ends(messages: &[Message]) {
    for status in messages.iter().filter_map(Message::ends) {
        metrics::counter!("neena_runs_ended_total", "status" => status.to_owned()).increment(1);
    }
}

impl Outlet {
    /// Messages that wait for the relay.
    pub fn waiting(&self) -> usize {
        WAITING - self.0.capacity()
    }

    /// Hands over committed messages. What finds no room is dropped: the outbox has it, and a keeper
    /// publishes it a few seconds later.
    pub fn hand(&self, messages: impl IntoIterator<Item = Message>) {
        for message in messages {
            if self.0.try_send(message).is_err() {
                tracing::debug!("the relay is behind; a message waits in the outbox");
                return;
            }
        }
    }
}
