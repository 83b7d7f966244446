//! What a process committed lazily, and whether a crash of the database may have taken it.

use neena_store::{Batch, Res, StoreError, Verdict};

use super::Database;
use crate::bug::Bug;

impl Database {
    /// A commit follows the lazy ones before it, unless the database crashed meanwhile: then the connection is a
    /// new one, which is said once, so that the journal writes them again.
    pub(super) fn nothing_lost(&self, batch: &Batch, crashes: u64) -> Res<()> {
        if self.world.has(Bug::LazyGoesOn) && !batch.durable {
            return Ok(());
        }
        let mut lazily = self.lazily.lock();
        let mut lost = Vec::new();
        for entry in &batch.entries {
            let hold = (entry.run, entry.claim);
            if lazily.get(&hold).is_some_and(|then| *then != crashes) {
                lazily.remove(&hold);
                lost.push(entry.run.to_string());
            }
        }
        if lost.is_empty() {
            return Ok(());
        }
        let note = || format!("lazy commits may be lost: {}", lost.join(", "));
        self.world.note(note);
        match self.world.has(Bug::ReconnectsSilently) {
            true => Ok(()),
            false => Err(StoreError::Unavailable("connected anew".into())),
        }
    }

    /// What was committed under each hold.
    pub(super) fn note_lazy(&self, batch: &Batch, verdicts: &[Verdict], crashes: u64) {
        let mut lazily = self.lazily.lock();
        for (entry, verdict) in batch.entries.iter().zip(verdicts) {
            let hold = (entry.run, entry.claim);
            if batch.durable {
                lazily.remove(&hold);
            } else if verdict.held && !entry.record.rows.is_empty() {
                lazily.entry(hold).or_insert(crashes);
            }
        }
    }
}
