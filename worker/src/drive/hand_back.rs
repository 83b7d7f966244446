//! Giving a run back: when nothing runs any more, or when the grace is over.

use neena_engine::run::Event;

use super::Drive;

impl Drive {
    /// Whether nothing that began is still under way.
    pub(super) fn idle(&self) -> bool {
        self.attempts.values().all(|attempt| !attempt.began()) && self.events.is_empty()
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
