//! The records of one hold of a run, in order.

use std::collections::VecDeque;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use neena_engine::ids::{ClaimId, RunId};
use neena_engine::run::{Record, Then};
use tokio::sync::oneshot;

use super::limits::{Weight, bytes};
use super::pending::{Answer, Pending, Unseen};
use crate::rows::standing;
use crate::{Entry, Res, StoreError, Verdict};

/// A run under one claim.
pub(super) type Key = (RunId, ClaimId);

/// A pushed record and who waits for its answer.
#[derive(Debug)]
pub(super) struct Pushed {
    pub(super) seen: i64,
    pub(super) record: Record,
    pub(super) weight: Weight,
    pub(super) reply: Option<oneshot::Sender<Answer>>,
}

impl Pushed {
    pub(super) fn urgent(&self) -> bool {
        self.record.urgent || self.record.then != Then::Hold
    }

    pub(super) fn answer(&mut self, verdict: Res<Verdict>, unseen: Option<Unseen>) {
        if let Some(reply) = self.reply.take() {
            // Whoever pushed it may have gone.
            let _ = reply.send(Answer { verdict, unseen });
        }
    }
}

/// Records of one key that are written as one entry.
#[derive(Debug)]
pub(super) struct Part {
    pub(super) key: Key,
    pub(super) records: Vec<Pushed>,
}

impl Part {
    /// Whether somebody waits for the disk.
    pub(super) fn urgent(&self) -> bool {
        self.records.iter().any(Pushed::urgent)
    }

    /// All of it as one entry: of each task the row that stands, the newest `seen`, the last `then`.
    pub(super) fn entry(&self) -> Entry {
        let (run, claim) = self.key;
        let mut merged = Record {
            urgent: self.urgent(),
            ..Record::default()
        };
        let mut seen = 0;
        for pushed in &self.records {
            seen = pushed.seen;
            merged.seq = pushed.record.seq;
            merged.rows.extend_from_slice(&pushed.record.rows);
            merged.attempts.extend_from_slice(&pushed.record.attempts);
            merged.asks.extend_from_slice(&pushed.record.asks);
            merged.withdrawn.extend_from_slice(&pushed.record.withdrawn);
            merged.then = pushed.record.then.clone();
        }
        merged.rows = standing(&merged.rows).into_iter().cloned().collect();
        Entry {
            run,
            claim,
            seen,
            record: merged,
        }
    }

    /// Two halves in order; the record at fault is in one of them.
    pub(super) fn halve(mut self) -> (Part, Part) {
        let rest = self.records.split_off(self.records.len() / 2);
        let second = Part {
            key: self.key,
            records: rest,
        };
        (self, second)
    }
}

/// What is queued for one key, and what is written but not known to be durable.
#[derive(Debug, Default)]
pub(super) struct Queue {
    pub(super) waiting: VecDeque<Pushed>,
    /// How many of them are urgent.
    urgent: usize,
    /// Committed lazily: answered with the next durable commit of the run, whose verdict is fresh.
    pub(super) undurable: Vec<Pushed>,
    /// The first refusal, until its owner has seen it: what it pushed before it knew is void.
    refusal: Option<Arc<AtomicBool>>,
}

impl Queue {
    /// Queues an entry; how much it weighs, unless it was refused at once.
    pub(super) fn push(&mut self, entry: Entry) -> (Pending, Option<Weight>) {
        let (reply, answer) = oneshot::channel();
        let pending = Pending {
            seq: entry.record.seq,
            answer,
        };
        let mut pushed = Pushed {
            seen: entry.seen,
            weight: Weight::of(&entry.record),
            record: entry.record,
            reply: Some(reply),
        };
        if self.refusing() {
            pushed.answer(Err(after_refusal()), None);
            return (pending, None);
        }
        let weight = pushed.weight;
        self.urgent += usize::from(pushed.urgent());
        self.waiting.push_back(pushed);
        (pending, Some(weight))
    }

    fn refusing(&mut self) -> bool {
        let seen = self
            .refusal
            .as_ref()
            .is_none_or(|seen| seen.load(Ordering::Acquire));
        if seen {
            self.refusal = None;
        }
        !seen
    }

    /// Whether somebody waits for the disk.
    pub(super) fn urgent(&self) -> bool {
        self.urgent > 0
    }

    /// Whether nothing is left to be kept.
    pub(super) fn idle(&mut self) -> bool {
        self.waiting.is_empty() && self.undurable.is_empty() && !self.refusing()
    }

    /// Takes records from the front as far as they fit into `room`, up to one that lets the run go. A
    /// record too large for `whole`, and so for any batch, is cut: its first rows go without an answer. If
    /// it has none to give, it is taken as it is when it has the batch to itself.
    pub(super) fn take(
        &mut self,
        key: Key,
        room: Weight,
        whole: Weight,
        first: bool,
    ) -> Option<Part> {
        let mut records = Vec::new();
        let mut left = room;
        while let Some(front) = self.waiting.front()
            && front.weight.fits(left)
        {
            left.take(front.weight);
            let last = front.record.then != Then::Hold;
            records.extend(self.pop());
            if last {
                break;
            }
        }
        if records.is_empty()
            && let Some(front) = self.waiting.front_mut()
            && !front.weight.fits(whole)
        {
            records.extend(front.cut(room));
            if records.is_empty() && first {
                records.extend(self.pop());
            }
        }
        if records.is_empty() {
            None
        } else {
            Some(Part { key, records })
        }
    }

    fn pop(&mut self) -> Option<Pushed> {
        let front = self.waiting.pop_front()?;
        self.urgent -= usize::from(front.urgent());
        Some(front)
    }

    /// Refuses `fault` and everything after it, and whatever comes until the first refusal is seen.
    pub(super) fn refuse(&mut self, fault: Part, why: &str) {
        let seen = Arc::new(AtomicBool::new(false));
        self.refusal = Some(Arc::clone(&seen));
        let mut unseen = Some(Unseen(seen));
        self.urgent = 0;
        // A cut record is answered by what is left of it.
        let answered = fault.records.into_iter().chain(self.waiting.drain(..));
        for mut pushed in answered.filter(|pushed| pushed.reply.is_some()) {
            let error = match &unseen {
                Some(_) => StoreError::Refused(why.to_owned()),
                None => after_refusal(),
            };
            pushed.answer(Err(error), unseen.take());
        }
    }
}

impl Pushed {
    /// The first attempts and rows, as far as they fit; none if not even one does.
    fn cut(&mut self, room: Weight) -> Option<Pushed> {
        let mut left = room;
        let attempts = self.record.attempts.len().min(left.rows);
        left.rows -= attempts;
        let mut rows = 0;
        for row in self.record.rows.iter().take(left.rows) {
            if rows + attempts > 0 && bytes(row) > left.bytes {
                break;
            }
            left.bytes = left.bytes.saturating_sub(bytes(row));
            rows += 1;
        }
        if rows + attempts == 0 {
            return None;
        }
        let record = Record {
            rows: self.record.rows.drain(..rows).collect(),
            attempts: self.record.attempts.drain(..attempts).collect(),
            ..Record::default()
        };
        self.weight = Weight::of(&self.record);
        Some(Pushed {
            seen: self.seen,
            weight: Weight::of(&record),
            record,
            reply: None,
        })
    }
}

pub(super) fn after_refusal() -> StoreError {
    StoreError::Refused("an earlier record of the run was refused".to_owned())
}
