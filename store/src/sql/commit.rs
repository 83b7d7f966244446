//! The journal's batch: on Postgres one statement, on SQLite a job of the writer.

use super::statement::Prepared;
use super::{SqlStore, batch};
use crate::db::Postgres;
use crate::writer::Lane;
use crate::{Batch, Res, StoreError, Verdict};

impl SqlStore {
    /// Commits a batch; all or nothing.
    pub(super) async fn commit_batch(&self, batch: &Batch) -> Res<Vec<Verdict>> {
        fail::fail_point!("commit.before", |what| Err(crate::failpoint::error(
            what.as_deref(),
            StoreError::Unavailable
        )));
        let verdicts = match self.db.on_postgres() {
            Some(postgres) => self.commit_at_once(postgres, batch).await?,
            None => self.commit_in_group(batch).await?,
        };
        fail::fail_point!("commit.after", |what| Err(crate::failpoint::error(
            what.as_deref(),
            StoreError::Unknown
        )));
        for (entry, verdict) in batch.entries.iter().zip(&verdicts) {
            // With an outcome the start of the run is noted, and that this claim got somewhere.
            let rows = &entry.record.rows;
            if verdict.held && rows.iter().any(|row| row.status.is_outcome()) {
                self.started.insert((entry.run, entry.claim), ());
            }
        }
        Ok(verdicts)
    }

    /// A batch on Postgres: one statement.
    async fn commit_at_once(&self, postgres: &Postgres, batch: &Batch) -> Res<Vec<Verdict>> {
        let prepared = Prepared::of(batch, &self.started);
        let mut lives = 0;
        let check = |now| {
            lives = now;
            self.nothing_lost(batch, now)
        };
        let rows = postgres.batch(batch.durable, &prepared, check).await?;
        let verdicts = prepared.verdicts(batch, &rows)?;
        for (entry, verdict) in batch.entries.iter().zip(&verdicts) {
            if batch.durable {
                self.lazily.invalidate(&(entry.run, entry.claim));
            } else if verdict.held && !entry.record.rows.is_empty() {
                self.lazily.entry((entry.run, entry.claim)).or_insert(lives);
            }
        }
        Ok(verdicts)
    }

    /// Whether a commit would follow what was committed lazily before it. A server that crashed meanwhile may
    /// have lost that, and it closed every connection: `lives` has changed then. Said once, so that the journal
    /// writes it again; of a lazy commit, too, lest a new owner find it without what it builds on.
    fn nothing_lost(&self, batch: &Batch, lives: u64) -> Res<()> {
        let mut lost = false;
        for entry in &batch.entries {
            if self
                .lazily
                .get(&(entry.run, entry.claim))
                .is_some_and(|then| then != lives)
            {
                self.lazily.invalidate(&(entry.run, entry.claim));
                self.started.invalidate(&(entry.run, entry.claim));
                lost = true;
            }
        }
        match lost {
            true => Err(StoreError::Unavailable(
                "connected anew; what was committed lazily is written again".to_owned(),
            )),
            false => Ok(()),
        }
    }

    /// A batch on SQLite: a job of the writer.
    async fn commit_in_group(&self, batch: &Batch) -> Res<Vec<Verdict>> {
        let lane = if batch.durable {
            Lane::Urgent
        } else {
            Lane::Lazy
        };
        let rows = batch
            .entries
            .iter()
            .map(|entry| entry.record.rows.len() + 1)
            .sum();
        let (copy, started) = (batch.clone(), self.started.clone());
        self.db
            .run(lane, rows, |tx| Box::pin(batch::commit(tx, copy, started)))
            .await
    }
}
