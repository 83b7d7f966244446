//! The journal's answers to what a driver had recorded.

use neena_engine::run::{Event, Standing};
use neena_store::{StoreError, Verdict};
use tracing::warn;

use super::{CONDEMNED_AT, Drive, Over};

impl Drive {
    /// Takes the journal's answer.
    pub(super) fn judged(
        &mut self,
        (seq, verdict): (u64, Result<Verdict, StoreError>),
    ) -> Option<Over> {
        let verdict = match verdict {
            Ok(verdict) => verdict,
            Err(StoreError::Refused(why)) => {
                warn!(%why, "the database refused a record of this run");
                if std::mem::replace(&mut self.refused, true) {
                    // Not even its end can be written: the next owner may have more luck.
                    return Some(Over::Lost);
                }
                self.last = None;
                self.events.push_back(Event::Unstorable);
                return None;
            }
            // The journal answers nothing else but at its end.
            Err(_) => return Some(Over::Lost),
        };
        if !verdict.held {
            return Some(Over::Lost);
        }
        if self.last == Some(seq) {
            if verdict.applied {
                return Some(Over::Settled);
            }
            self.last = None;
            self.handed_back = false;
        }
        if verdict.inbox_seq > self.seen && self.gated {
            // Maybe a gate was decided, of which the verdict tells nothing: look, and only then it was seen.
            self.look_again = true;
        } else {
            self.saw(verdict.inbox_seq);
        }
        if self.held.suspect() && self.progressed {
            self.shared.held.clear(self.held.run, self.held.claim);
            self.shared.cleared.notify_one();
        }
        let standing = Standing {
            phase: verdict.phase,
            intent: verdict.intent,
            inbox_seq: verdict.inbox_seq,
        };
        if self.claimed {
            self.events.push_back(Event::Recorded {
                seq,
                standing,
                applied: verdict.applied,
            });
        } else {
            // A signal came before the park for missing code. A cancel needs no code; anything else
            // finds the run parked again, or its code here. What is known of its gates is as old as `seen`.
            self.claim(Standing {
                inbox_seq: self.seen,
                ..standing
            });
        }
        None
    }

    /// Tells the engine of the claim.
    pub(super) fn claim(&mut self, standing: Standing) {
        self.claimed = true;
        self.events.push_back(if self.held.claims >= CONDEMNED_AT {
            Event::Condemned
        } else {
            Event::Claimed(standing)
        });
    }
}
