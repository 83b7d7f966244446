//! Looking at the live row, and after it at the gates: what others decided since.
//!
//! What was read is handed to the engine before the driver says that it was seen, and whatever lets the run go
//! names what was seen: an answer that came in between is found by the refusal, and one whose poke was lost by the
//! next beat.

use neena_engine::plan::Plan;
use neena_engine::run::{Event, Standing};
use tracing::debug;

use super::{Drive, Over};

impl Drive {
    /// Reads the live row, then the gates; the run is lost if it stands under another claim.
    pub(super) async fn look(&mut self) -> Option<Over> {
        match self
            .shared
            .store
            .reread(self.held.run, self.held.claim)
            .await
        {
            // The engine is told of the claim first, with what was seen by then, and of the rest right after it.
            Ok(Some(_)) if !self.claimed => None,
            Ok(Some(held)) => {
                let standing = Standing {
                    phase: held.phase,
                    intent: held.intent,
                    inbox_seq: held.inbox_seq,
                };
                // After the live row: what is decided later moves its number again.
                let asks = match self.gated {
                    true => self.shared.store.gates(self.held.run).await,
                    false => Ok(Vec::new()),
                };
                match asks {
                    Ok(asks) => {
                        self.saw(held.inbox_seq);
                        self.events.push_back(Event::Signalled { standing, asks });
                    }
                    Err(error) => debug!(%error, "could not look at the gates of the run"),
                }
                None
            }
            Ok(None) if self.last.is_some() => None,
            Ok(None) => Some(Over::Lost),
            // Not seen: the next beat finds the signal again.
            Err(error) => {
                debug!(%error, "could not look at the run again");
                None
            }
        }
    }

    /// The inbox was looked into up to here.
    pub(super) fn saw(&mut self, inbox_seq: i64) {
        self.seen = self.seen.max(inbox_seq);
        self.shared.held.saw(self.held.run, self.seen);
    }
}

/// Whether people are asked within a run of this plan.
pub(super) fn gated(plan: &Plan) -> bool {
    let mut operations = plan.graph.body().operations.iter();
    operations.any(|operation| operation.approval.is_some())
}
