//! Writing a batch: again until it is known what became of it, in halves when its data is refused.

use std::collections::HashSet;
use std::time::Duration;

use tokio::time::Instant;

use super::Shared;
use super::queue::{Key, Part, after_refusal};
use crate::outlet::count_ends;
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
            match self.commit(&parts, durable).await {
                Ok(verdicts) => self.settle(parts, verdicts, durable),
                Err(StoreError::Refused(why)) if unsplit() => {
                    for part in parts {
                        refused.insert(part.key);
                        self.refuse(part, &why).await;
                    }
                }
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
    async fn commit(&self, parts: &[Part], durable: bool) -> Res<Vec<Verdict>> {
        let mut entries: Vec<Entry> = parts.iter().map(Part::entry).collect();
        let rows: usize = entries.iter().map(|entry| entry.record.rows.len()).sum();
        let mut tries = 0;
        loop {
            let start = Instant::now();
            let answer = self
                .store
                .commit(&Batch {
                    entries: entries.clone(),
                    durable,
                })
                .await;
            let error = match answer {
                Ok(verdicts) => {
                    measure(durable, rows, start, &verdicts);
                    self.set_full(false);
                    return Ok(verdicts);
                }
                Err(error @ StoreError::Refused(_)) => return Err(error),
                Err(error) => error,
            };
            self.set_full(matches!(error, StoreError::Full(_)));
            tries += 1;
            if tries % 10 == 1 {
                tracing::warn!(%error, tries, "a batch is not written yet; trying again");
            }
            if tries > QUICK && self.stop.is_cancelled() {
                tracing::error!(%error, "the journal ends with records that are not written");
                return Err(error);
            }
            tokio::time::sleep(pause(&error, tries, &entries)).await;
            if tries == 1 {
                // The database may have lost what it had committed lazily: it is written once more.
                entries = parts.iter().map(|part| self.with_undurable(part)).collect();
            }
        }
    }

    /// The entry of a part, with all that was written before it and is not known to be durable.
    fn with_undurable(&self, part: &Part) -> Entry {
        let entry = part.entry();
        self.queues.lock().written_again(part.key, entry)
    }

    fn settle(&self, parts: Vec<Part>, verdicts: Vec<Verdict>, durable: bool) {
        let mut queues = self.queues.lock();
        for (part, mut verdict) in parts.into_iter().zip(verdicts) {
            let messages = std::mem::take(&mut verdict.outbox);
            count_ends(&messages);
            self.outlet.hand(messages);
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
            let part = Part {
                key,
                records: before,
            };
            match self.commit(std::slice::from_ref(&part), true).await {
                Ok(mut verdicts) => {
                    let verdict = verdicts.pop().unwrap_or_else(|| Verdict::fenced(key.0));
                    answer(part, &Ok(verdict));
                }
                Err(error) => answer(part, &Err(error)),
            }
        }
        tracing::warn!(flow_run = %key.0, why, "the database refused a record");
        let mut queues = self.queues.lock();
        queues.refuse(fault, why);
        queues.tidy(key);
    }
}

/// How long until a batch is tried again. 10 to 50 ms at first: two that met on a lock must not meet again.
fn pause(error: &StoreError, tries: u32, entries: &[Entry]) -> Duration {
    const LONG: Duration = Duration::from_secs(1);
    match error {
        StoreError::Full(_) => LONG,
        _ if tries > QUICK => LONG,
        // Of the run's id, not of chance: a simulation must repeat.
        _ => {
            let salt = entries.first().map_or(0, |entry| entry.claim.0.as_u128());
            let jitter = (salt ^ u128::from(tries)).wrapping_mul(0x9e37_79b9_7f4a_7c15) >> 64;
            Duration::from_millis(10 + u64::try_from(jitter % 41).unwrap_or(0))
        }
    }
}

/// What operators see of batches.
fn measure(durable: bool, rows: usize, start: Instant, verdicts: &[Verdict]) {
    let way = if durable { "true" } else { "false" };
    metrics::histogram!("neena_journal_commit_seconds", "durable" => way)
        .record(start.elapsed().as_secs_f64());
    metrics::histogram!("neena_journal_batch_rows").record(rows as f64);
    let fenced = verdicts.iter().filter(|verdict| !verdict.held).count();
    if fenced > 0 {
        metrics::counter!("neena_fenced_writes_total").increment(fenced as u64);
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

/// A planted bug: what is refused together fails together.
fn unsplit() -> bool {
    fail::fail_point!("batch.unsplit", |_| true);
    false
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
