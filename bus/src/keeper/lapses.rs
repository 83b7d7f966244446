//! What time decides: reminders, and questions that nobody answered.

use futures_util::StreamExt;
use neena_store::{Decided, Lapsed, Res, StoreError};

use super::{Keeper, LIMIT};

/// Decisions under way at once.
const AT_ONCE: usize = 16;

impl Keeper {
    /// Decides what time decides. Another keeper may be first: then nothing is due any more. What cannot be
    /// decided, because its plan cannot be read, keeps no other from it.
    pub(super) async fn lapse(&mut self) -> Res<usize> {
        let store = self.store.clone();
        let due = self.timed(store.lapsed(LIMIT)).await?;
        let decisions = due.into_iter().map(async |one: Lapsed| {
            let decided = store.decide(&one.deciding()).await;
            (one, decided)
        });
        let mut decisions = std::pin::pin!(futures_util::stream::iter(decisions).buffered(AT_ONCE));
        let mut lapsed = 0;
        while let Some((one, decided)) = self.timed(async { Ok(decisions.next().await) }).await? {
            match decided {
                Ok(Decided::Done { outbox, poke, .. }) => {
                    lapsed += 1;
                    self.outlet.hand(outbox);
                    if let (Some(worker), Some(bus)) = (poke, &self.bus) {
                        bus.poke(worker, one.run).await;
                    }
                }
                Ok(_) => {}
                Err(StoreError::Refused(why)) => {
                    tracing::warn!(flow_run = %one.run, %why, "what time decides cannot be decided");
                }
                Err(error) => return Err(error),
            }
        }
        Ok(lapsed)
    }
}
