//! One group of the writer: begin, job after job, commit, answer.

use std::time::{Duration, Instant};

use sea_orm::{ConnectionTrait, DbErr};

use super::{Job, Queued, Task};
use crate::db::{Durability, Transaction};
use crate::error::is_disk_failure;
use crate::{Res, StoreError};

/// Beyond so many rows or so long a group takes no further job.
const ROWS: usize = 500;
const TIME: Duration = Duration::from_millis(5);

impl Task {
    /// Commits `first` and whatever else waits, and answers them all.
    pub(super) async fn group(&mut self, first: Queued, durable: bool) {
        let tx = match self.begin(durable).await {
            Ok(tx) => tx,
            Err(error) => {
                self.disconnect().await;
                first.job.answer(Err(error));
                return;
            }
        };
        let mut jobs: Vec<Box<dyn Job>> = Vec::new();
        let committed = match self.fill(&tx, first, durable, &mut jobs).await {
            Ok(()) if jobs.is_empty() => self.roll_back(tx).await,
            Ok(()) => self.commit(tx, durable).await,
            Err(error) => {
                drop(tx);
                self.disconnect().await;
                Err(error.into())
            }
        };
        for job in jobs {
            job.answer(committed.clone());
        }
    }

    /// Runs jobs until the group is full or nothing waits; `jobs` are those to commit. An error
    /// means that the transaction is lost: when the disk is full SQLite may roll all of it back by itself.
    async fn fill(
        &mut self,
        tx: &Transaction,
        first: Queued,
        durable: bool,
        jobs: &mut Vec<Box<dyn Job>>,
    ) -> Result<(), DbErr> {
        let start = Instant::now();
        let Queued { mut job, mut rows } = first;
        if !job.run(tx).await {
            job.answer(Ok(()));
            return Ok(());
        }
        jobs.push(job);
        // The savepoint of a job that went well is let go along with taking that of the next: one trip for both.
        let mut savepoint = SAVE;
        while rows < ROWS && start.elapsed() < TIME {
            let Some(next) = self.next_job(durable, start.elapsed()) else {
                break;
            };
            rows += next.rows;
            savepoint = in_savepoint(tx, savepoint, next.job, jobs).await?;
        }
        Ok(())
    }

    async fn commit(&mut self, tx: Transaction, durable: bool) -> Res<()> {
        let full = durable && self.durability == Durability::Full;
        let committed = match full && self.unsynced {
            true => match touch(&tx).await {
                Ok(()) => tx.commit().await,
                Err(error) => Err(error),
            },
            false => tx.commit().await,
        };
        match committed {
            Ok(()) => {
                self.unsynced = !full;
                self.counts.add(durable);
                Ok(())
            }
            Err(error) => {
                if is_disk_failure(&error) {
                    exit(&error);
                }
                self.disconnect().await;
                Err(match StoreError::from(error) {
                    // A commit that was refused is not the jobs' data: their statements went through.
                    StoreError::Refused(text) => StoreError::Unavailable(text),
                    other => other,
                })
            }
        }
    }

    async fn roll_back(&mut self, tx: Transaction) -> Res<()> {
        if let Err(error) = tx.rollback().await {
            tracing::warn!(%error, "the write connection is opened anew");
            self.disconnect().await;
        }
        Ok(())
    }
}

/// Takes a savepoint, and lets go of the one before.
const SAVE: &str = "SAVEPOINT job";
const SAVE_NEXT: &str = "RELEASE job; SAVEPOINT job";
const TAKE_BACK: &str = "ROLLBACK TO job; RELEASE job";

/// Runs the job in a savepoint that is taken by `savepoint`; by what the next one takes its own.
async fn in_savepoint(
    tx: &Transaction,
    savepoint: &str,
    mut job: Box<dyn Job>,
    jobs: &mut Vec<Box<dyn Job>>,
) -> Result<&'static str, DbErr> {
    if let Err(error) = tx.execute_unprepared(savepoint).await {
        job.answer(Err(error.clone().into()));
        return Err(error);
    }
    if job.run(tx).await {
        jobs.push(job);
        return Ok(SAVE_NEXT);
    }
    let taken_back = tx.execute_unprepared(TAKE_BACK).await;
    job.answer(Ok(()));
    taken_back.map(|_| SAVE)
}

/// Writes a page of no meaning. A commit that changed nothing syncs nothing, so it would not carry
/// the lazy commits before it to the disk, and whoever waits for them would be told too early.
async fn touch(tx: &Transaction) -> Result<(), DbErr> {
    tx.execute_unprepared("PRAGMA user_version = 1")
        .await
        .map(|_| ())
}

/// Ends the process: after a failed write or fsync the kernel may have dropped the pages, and a
/// second fsync that succeeds would prove nothing.
pub(crate) fn exit(error: &DbErr) -> ! {
    tracing::error!(%error, "the disk failed under the database; exiting, nothing acknowledged is lost");
    eprintln!("neena: the disk failed under the database: {error}");
    std::process::exit(74)
}
