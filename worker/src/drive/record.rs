//! Gathering what the engine wants recorded, and handing it to the journal.

use neena_engine::run::{Record, Then};
use neena_store::Entry;

use super::{Drive, Over};

impl Drive {
    /// Adds a record to the one being gathered: rows in order, the last `then` and number.
    pub(super) fn gather(&mut self, record: Record) {
        self.record.seq = record.seq;
        self.progressed |= record.rows.iter().any(|row| row.status.is_outcome());
        self.record.rows.extend(record.rows);
        self.record.attempts.extend(record.attempts);
        self.record.asks.extend(record.asks);
        self.record.withdrawn.extend(record.withdrawn);
        self.record.urgent |= record.urgent;
        if record.then != Then::Hold {
            self.last = Some(record.seq);
            self.yields = record.then == Then::Yield;
            self.record.then = record.then;
        }
    }

    /// Hands what was gathered to the journal.
    pub(super) async fn flush(&mut self) -> Option<Over> {
        if self.record == Record::default() {
            return None;
        }
        let record = std::mem::take(&mut self.record);
        let entry = Entry {
            run: self.held.run,
            claim: self.held.claim,
            seen: self.seen,
            record,
        };
        match self.shared.journal.push(entry).await {
            Ok(pending) => {
                self.verdicts.push_back(pending);
                None
            }
            Err(_) => Some(Over::Lost),
        }
    }
}
