//! What recording costs the process that records: a batch, as it is sent to Postgres.

use std::hint::black_box;

use neena_engine::ids::{ClaimId, RunId};
use neena_engine::run::Record;
use neena_store::sql::encoded;
use neena_store::{Batch, Entry};
use uuid::Uuid;

use crate::Walk;
use crate::step;

/// Encodes the end of a run of so many tasks, with the outcomes of all of them.
pub fn batch(operations: u32) -> Walk {
    let mut whole = Record::default();
    for record in step::records(operations) {
        whole.rows.extend(record.rows);
        whole.then = record.then;
    }
    let batch = Batch {
        entries: vec![Entry {
            run: RunId(Uuid::from_u128(5)),
            claim: ClaimId(Uuid::from_u128(6)),
            seen: 0,
            record: whole,
        }],
        durable: true,
    };
    Box::new(move || {
        let values = encoded(black_box(&batch)).expect("values that can be sent");
        assert_eq!(values, 28, "what becomes of the run, and its tasks");
    })
}
