//! Giving a run back: when nothing runs any more, or when the grace is over.

use neena_engine::run::Event;
use neena_store::Message;
use tracing::debug;

use super::Drive;

impl Drive {
    /// Whether nothing that began is still under way.
    pub(super) fn idle(&self) -> bool {
        self.attempts.values().all(|attempt| !attempt.began()) && self.events.is_empty()
    }

    /// Tells others at once of a run that a stopping worker gave back: the message of the outbox waits a
    /// little, so that nobody takes and gives back in a circle.
    pub(super) async fn pass_on(&self) {
        if !(self.stopping && self.yields) {
            return;
        }
        let hint = Message {
            id: self.shared.clock.id(),
            kind: Message::RESUMED.to_owned(),
            organization: self.held.organization,
            run: self.held.run,
            epoch: self.held.epoch,
            at: self.shared.clock.now(),
        };
        if let Err(problem) = self.shared.bus.publish(&[hint]).await {
            debug!(%problem, "the others find the run in the table");
        }
    }

    pub(super) fn hand_back(&mut self) {
        self.handed_back = true;
        let mut unstarted = std::mem::take(&mut self.unstarted);
        for (key, attempt) in &self.attempts {
            if attempt.withdraw() {
                unstarted.push(*key);
            }
            attempt.stop.cancel();
        }
        self.events.push_back(Event::HandBack { unstarted });
    }
}
