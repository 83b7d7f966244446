//! How much is queued and how much is written at once.

use neena_engine::Json;
use neena_engine::run::{Record, TaskRow, Then};

/// Rows and bytes of a batch.
pub(super) const BATCH: Weight = Weight {
    rows: 500,
    bytes: 4 << 20,
};
/// Rows of one run in a batch while others wait.
pub(super) const SHARE: usize = 256;
/// Rows and bytes that may be queued.
pub(super) const QUEUED: Weight = Weight {
    rows: 20_000,
    bytes: 64 << 20,
};

/// How much of a load records are.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Weight {
    pub(super) rows: usize,
    pub(super) bytes: usize,
}

impl Weight {
    pub(super) fn of(record: &Record) -> Weight {
        let attempts = record
            .attempts
            .iter()
            .map(|attempt| 100 + attempt.error.text().len());
        let body = match &record.then {
            Then::Finish(end) => end.body.len(),
            Then::Close { body } => body.len(),
            _ => 0,
        };
        let rows =
            record.rows.len() + record.attempts.len() + record.asks.len() + record.withdrawn.len();
        Weight {
            rows: rows + usize::from(record.then != Then::Hold || rows == 0),
            bytes: record.rows.iter().map(bytes).sum::<usize>() + attempts.sum::<usize>() + body,
        }
    }

    pub(super) fn add(&mut self, other: Weight) {
        self.rows += other.rows;
        self.bytes += other.bytes;
    }

    pub(super) fn take(&mut self, other: Weight) {
        self.rows = self.rows.saturating_sub(other.rows);
        self.bytes = self.bytes.saturating_sub(other.bytes);
    }

    pub(super) fn fits(self, room: Weight) -> bool {
        self.rows <= room.rows && self.bytes <= room.bytes
    }
}

/// About what a row takes.
pub(super) fn bytes(row: &TaskRow) -> usize {
    let json = |json: &Option<Json>| json.as_ref().map_or(0, |json| json.text().len());
    200 + json(&row.result) + json(&row.error) + json(&row.prep_answer)
}
