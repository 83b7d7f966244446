//! All queues, and what is written next.

use std::collections::{BTreeMap, HashSet, VecDeque};

use neena_engine::run::Record;
use tokio::time::Instant;

use super::LINGER;
use super::limits::{BATCH, QUEUED, SHARE, Weight};
use super::pending::Pending;
use super::queue::{Key, Part, Pushed, Queue};
use crate::Entry;
use crate::rows::standing;

/// What is queued, by key.
#[derive(Debug, Default)]
pub(super) struct Queues {
    queues: BTreeMap<Key, Queue>,
    /// Keys with waiting records, longest unserved first.
    turns: VecDeque<Key>,
    queued: Weight,
    /// When the oldest record that nobody waits for was pushed.
    since: Option<Instant>,
}

/// What to do next.
#[derive(Debug)]
pub(super) enum Next {
    /// Write this.
    Write(Vec<Part>),
    /// Nothing, until something is pushed or this moment comes.
    Wait(Option<Instant>),
}

impl Queues {
    pub(super) fn has_room(&self) -> bool {
        self.queued.rows < QUEUED.rows && self.queued.bytes < QUEUED.bytes
    }

    pub(super) fn push(&mut self, entry: Entry, now: Instant) -> Pending {
        let key = (entry.run, entry.claim);
        let queue = self.queues.entry(key).or_default();
        let first = queue.waiting.is_empty();
        let (pending, weight) = queue.push(entry);
        if let Some(weight) = weight {
            self.queued.add(weight);
            self.since = self.since.or(Some(now));
            if first {
                self.turns.push_back(key);
            }
        }
        pending
    }

    /// The next batch: whatever is urgent and as much of the rest as fits, or what has lingered for long
    /// enough, or what fills a batch: waiting would not make it larger.
    pub(super) fn next(&mut self, now: Instant, closing: bool) -> Next {
        let Some(since) = self.since else {
            return Next::Wait(None);
        };
        let turns = std::mem::take(&mut self.turns);
        let (mut turns, rest): (VecDeque<Key>, VecDeque<Key>) = turns
            .into_iter()
            .partition(|key| self.queues.get(key).is_some_and(Queue::urgent));
        let full = !self.queued.fits(BATCH);
        let due = !turns.is_empty() || closing || full || now >= since + LINGER;
        turns.extend(rest);
        if !due {
            self.turns = turns;
            return Next::Wait(Some(since + LINGER));
        }
        let parts = self.batch(turns);
        self.since = if self.turns.is_empty() {
            None
        } else {
            Some(since)
        };
        Next::Write(parts)
    }

    /// Takes a batch from the keys in turn; those with something left keep their turn, the unserved first.
    fn batch(&mut self, turns: VecDeque<Key>) -> Vec<Part> {
        let mut parts = Vec::new();
        let mut room = BATCH;
        let mut runs = HashSet::new();
        let share = if turns.len() == 1 { BATCH.rows } else { SHARE };
        let mut served = VecDeque::new();
        for key in turns {
            let Some(queue) = self.queues.get_mut(&key) else {
                continue;
            };
            let mine = Weight {
                rows: room.rows.min(share),
                ..room
            };
            let whole = Weight {
                rows: share,
                ..BATCH
            };
            // One entry per run and batch, even if the run was claimed twice here.
            let part = match runs.insert(key.0) {
                true => queue.take(key, mine, whole, parts.is_empty()),
                false => None,
            };
            let waits = !queue.waiting.is_empty();
            let turns = if part.is_some() {
                &mut served
            } else {
                &mut self.turns
            };
            if waits {
                turns.push_back(key);
            }
            if let Some(part) = part {
                for pushed in &part.records {
                    room.take(pushed.weight);
                    self.queued.take(pushed.weight);
                }
                parts.push(part);
            }
        }
        self.turns.append(&mut served);
        parts
    }

    /// Takes what is written for a key but not known to be durable.
    pub(super) fn take_undurable(&mut self, key: Key) -> Vec<Pushed> {
        self.queues
            .get_mut(&key)
            .map(|queue| std::mem::take(&mut queue.undurable))
            .unwrap_or_default()
    }

    /// `entry`, preceded by what is written for its key but not known to be durable.
    pub(super) fn written_again(&self, key: Key, entry: Entry) -> Entry {
        let Some(queue) = self.queues.get(&key) else {
            return entry;
        };
        let before = queue.undurable.iter().map(|pushed| &pushed.record);
        let mut again = Record::default();
        for record in before.chain([&entry.record]) {
            again.rows.extend_from_slice(&record.rows);
            again.attempts.extend_from_slice(&record.attempts);
            again.asks.extend_from_slice(&record.asks);
            again.withdrawn.extend_from_slice(&record.withdrawn);
        }
        again.rows = standing(&again.rows).into_iter().cloned().collect();
        let Record {
            rows,
            attempts,
            asks,
            withdrawn,
            ..
        } = again;
        Entry {
            record: Record {
                rows,
                attempts,
                asks,
                withdrawn,
                ..entry.record
            },
            ..entry
        }
    }

    /// Keeps `records` until a later commit makes them durable.
    pub(super) fn keep_undurable(&mut self, key: Key, records: Vec<Pushed>) {
        let queue = self.queues.entry(key).or_default();
        queue.undurable.extend(records);
    }

    /// Refuses `fault` and all that is queued after it.
    pub(super) fn refuse(&mut self, fault: Part, why: &str) {
        let queue = self.queues.entry(fault.key).or_default();
        queue
            .waiting
            .iter()
            .for_each(|pushed| self.queued.take(pushed.weight));
        let key = fault.key;
        queue.refuse(fault, why);
        self.turns.retain(|turn| *turn != key);
        self.rest();
    }

    /// Nothing lingers where nothing is queued.
    fn rest(&mut self) {
        if self.turns.is_empty() {
            self.since = None;
        }
    }

    /// Takes what is queued for a key out: there is nothing to be done for it any more.
    pub(super) fn remove(&mut self, key: Key) -> Queue {
        self.turns.retain(|turn| *turn != key);
        let queue = self.queues.remove(&key).unwrap_or_default();
        queue
            .waiting
            .iter()
            .for_each(|pushed| self.queued.take(pushed.weight));
        self.rest();
        queue
    }

    /// Forgets a key that nothing is kept for.
    pub(super) fn tidy(&mut self, key: Key) {
        if self.queues.get_mut(&key).is_some_and(Queue::idle) {
            self.queues.remove(&key);
        }
    }

    pub(super) fn clear(&mut self) {
        *self = Queues::default();
    }
}
