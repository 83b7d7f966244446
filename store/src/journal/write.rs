//! Writing a batch: again until it is known what became of it, in halves when its data is refused.

use std::collections::HashSet;
use std::time::Duration;

use neena_engine::run::Record;

use super::Shared;
use super::queue::{Key, Part, after_refusal};
use crate::{Batch, Entry, Res, StoreError, Verdict};

/// Tries at short intervals before the waits get long.
const QUICK: u32 = 5;

impl Shared {
    /// Writes `parts` and answers whoever waits for them.
    pub(super) async fn write(&self, parts: Vec<Part>) {
        let mut todo = vec![parts];
        let mut refused: HashSet<Key> = HashSet::new();
        while let Some(parts) = todo.pop() {
            let (void, parts): (Vec<Part>, Vec<Part>) = parts
                .into_iter()
                .partition(|part| refused.contains(&part.key));
            void.into_iter()
                .for_each(|part| answer(part, &Err(after_refusal())));
            if parts.is_empty() {
                continue;
            }
            let durable = self.stop.is_cancelled() || parts.iter().any(Part::urgent);
            let batch = Batch {
                entries: parts.iter().map(Part::entry).collect(),
                durable,
            };
            match self.commit(&batch).await {
                Ok(verdicts) => self.settle(parts, verdicts, durable),
                Err(StoreError::Refused(why)) => match halve(parts) {
                    Ok((first, second)) => todo.extend([second, first]),
                    Err(fault) => {
                        refused.insert(fault.key);
                        self.refuse(fault, &why).await;
                    }
                },
                // Only at the end of the journal: nobody will know.
                Err(_) => return self.queues.lock().clear(),
            }
        }
    }

    /// Commits a batch; the same one again for as long as it is not known to be written. An error: the
    /// data was refused, or the journal is to end and the database does not answer.
    async fn commit(&self, batch: &Batch) -> Res<Vec<Verdict>> {
        let mut tries = 0;
        loop {
            let error = match self.store.commit(batch).await {
                Err(error @ StoreError::Refused(_)) => return Err(error),
                Err(error) => error,
                Ok(verdicts) => return Ok(verdicts),
            };
            tries += 1;
            if tries % 10 == 1 {
                tracing::warn!(%error, tries, "a batch is not written yet; trying again");
            }
            if tries > QUICK && self.stop.is_cancelled() {
                tracing::error!(%error, "the journal ends with records that are not written");
                return Err(error);
            }
            let wait = match (&error, tries) {
                (StoreError::Full(_), _) => Duration::from_secs(1),
                (_, ..=QUICK) => Duration::from_millis(10) * tries,
                _ => Duration::from_secs(1),
            };
            tokio::time::sleep(wait).await;
        }
    }

    fn settle(&self, parts: Vec<Part>, verdicts: Vec<Verdict>, durable: bool) {
        let mut queues = self.queues.lock();
        for (part, mut verdict) in parts.into_iter().zip(verdicts) {
            self.outlet.hand(std::mem::take(&mut verdict.outbox));
            let key = part.key;
            if !verdict.held {
                // A claim that was lost stays lost: whatever else is queued under it is void, too.
                let queue = queues.remove(key);
                let records = queue
                    .undurable
                    .into_iter()
                    .chain(part.records)
                    .chain(queue.waiting);
                answer(
                    Part {
                        key,
                        records: records.collect(),
                    },
                    &Ok(verdict),
                );
            } else if durable {
                let mut records = queues.take_undurable(key);
                records.extend(part.records);
                answer(Part { key, records }, &Ok(verdict));
            } else {
                queues.keep_undurable(key, part.records);
            }
            queues.tidy(key);
        }
    }

    /// Refuses a record that stood alone in its batch, after all before it is known to be durable.
    async fn refuse(&self, fault: Part, why: &str) {
        let key = fault.key;
        let before = self.queues.lock().take_undurable(key);
        if !before.is_empty() {
            let record = Record {
                urgent: true,
                ..Record::default()
            };
            let entry = Entry {
                run: key.0,
                claim: key.1,
                seen: 0,
                record,
            };
            match self
                .commit(&Batch {
                    entries: vec![entry],
                    durable: true,
                })
                .await
            {
                Ok(mut verdicts) => {
                    let verdict = verdicts.pop().unwrap_or_else(|| Verdict::fenced(key.0));
                    answer(
                        Part {
                            key,
                            records: before,
                        },
                        &Ok(verdict),
                    );
                }
                Err(error) => answer(
                    Part {
                        key,
                        records: before,
                    },
                    &Err(error),
                ),
            }
        }
        tracing::warn!(flow_run = %key.0, why, "the database refused a record");
        let mut queues = self.queues.lock();
        queues.refuse(fault, why);
        queues.tidy(key);
    }
}

/// Answers all records of a part; only the last one's `then` was a question.
fn answer(part: Part, verdict: &Res<Verdict>) {
    let mut records = part.records.into_iter().peekable();
    while let Some(mut record) = records.next() {
        let mut verdict = verdict.clone();
        if let Ok(verdict) = &mut verdict {
            verdict.applied |= verdict.held && records.peek().is_some();
        }
        record.answer(verdict, None);
    }
}

/// Two halves, in order; or the only record there is.
fn halve(mut parts: Vec<Part>) -> Result<(Vec<Part>, Vec<Part>), Part> {
    if parts.len() > 1 {
        let second = parts.split_off(parts.len() / 2);
        return Ok((parts, second));
    }
    match parts.pop() {
        Some(part) if part.records.len() > 1 => {
            let (first, second) = part.halve();
            Ok((vec![first], vec![second]))
        }
        Some(part) => Err(part),
        None => Ok((Vec::new(), Vec::new())),
    }
}
