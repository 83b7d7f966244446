//! What may be asked of a store, in any order.

use neena_engine::ids::RunId;
use neena_engine::run::{Record, RunStatus, Then};
use proptest::prelude::*;

use crate::harness::{completed, failed, finish, pending, skipped, started};
use neena_engine::Micros;

/// A call. Runs, workers and claims are named by number, taken modulo how many there are.
#[derive(Clone, Debug)]
pub enum Step {
    Create {
        quorum: u32,
    },
    Join,
    Advertise {
        worker: usize,
    },
    Beat {
        worker: usize,
    },
    Leave {
        worker: usize,
    },
    Claim {
        worker: usize,
        /// None: the next.
        run: Option<usize>,
        suspect: bool,
    },
    Commit {
        run: usize,
        /// 0: the newest claim; others: an older one.
        age: usize,
        stale: bool,
        rows: Vec<Row>,
        attempt: Option<u32>,
        then: End,
        durable: bool,
    },
    /// Every run's newest claim, in one batch.
    CommitAll {
        rows: Vec<Row>,
    },
    Decide {
        run: usize,
        who: u128,
        what: What,
        hash: Named,
        code_current: bool,
    },
    Wake,
    DueWithin,
    Bury,
    OutboxTake,
    OutboxDone,
    /// Two hours: every lease lapses, whatever waits for a time is due.
    Pass,
}

#[derive(Clone, Copy, Debug)]
pub enum What {
    Approve,
    Reject,
    Cancel,
    Retry,
}

/// The plan an approver names.
#[derive(Clone, Copy, Debug)]
pub enum Named {
    Nothing,
    Right,
    Wrong,
}

#[derive(Clone, Copy, Debug)]
pub enum End {
    Hold,
    Park { due: bool, reason: bool },
    Finish(RunStatus),
    Close,
    Yield,
}

impl End {
    /// `soon`: a moment within the next two hours.
    pub fn then(self, soon: Micros) -> Then {
        match self {
            End::Hold => Then::Hold,
            End::Park { due, reason } => Then::Park {
                wake_at: due.then_some(soon),
                reason: reason.then(|| "it waits".into()),
            },
            End::Finish(status) => finish(status),
            End::Close => Then::Close {
                body: "closed".into(),
            },
            End::Yield => Then::Yield,
        }
    }
}

/// A row of a record.
#[derive(Clone, Copy, Debug)]
pub struct Row {
    pub index: u32,
    pub kind: u8,
}

/// A record of these rows.
pub fn record(run: RunId, rows: &[Row], then: Then) -> Record {
    let row = |row: &Row| match row.kind {
        0 => started(run, row.index),
        1 => pending(run, row.index, Micros(77)),
        2 => completed(run, row.index, "done"),
        3 => failed(run, row.index),
        _ => skipped(run, row.index),
    };
    Record {
        seq: 1,
        rows: rows.iter().map(row).collect(),
        then,
        urgent: true,
        ..Record::default()
    }
}

fn rows() -> impl Strategy<Value = Vec<Row>> {
    let row = (0..4_u32, 0..5_u8).prop_map(|(index, kind)| Row { index, kind });
    proptest::collection::vec(row, 0..4)
}

fn end() -> impl Strategy<Value = End> {
    let status = prop_oneof![Just(RunStatus::Completed), Just(RunStatus::Failed)];
    prop_oneof![
        5 => Just(End::Hold),
        3 => (any::<bool>(), any::<bool>()).prop_map(|(due, reason)| End::Park { due, reason }),
        3 => status.prop_map(End::Finish),
        2 => Just(End::Close),
        2 => Just(End::Yield),
    ]
}

fn what() -> impl Strategy<Value = What> {
    prop_oneof![
        5 => Just(What::Approve),
        1 => Just(What::Reject),
        2 => Just(What::Cancel),
        3 => Just(What::Retry),
    ]
}

fn named() -> impl Strategy<Value = Named> {
    prop_oneof![4 => Just(Named::Nothing), 4 => Just(Named::Right), 1 => Just(Named::Wrong)]
}

pub fn step() -> impl Strategy<Value = Step> {
    let number = 0..4_usize;
    let commit = (
        number.clone(),
        prop_oneof![4 => Just(0_usize), 1 => 1..3_usize],
        prop::bool::weighted(0.15),
        rows(),
        prop::option::weighted(0.3, 1..3_u32),
        end(),
        any::<bool>(),
    );
    prop_oneof![
        3 => (1..3_u32).prop_map(|quorum| Step::Create { quorum }),
        2 => Just(Step::Join),
        1 => number.clone().prop_map(|worker| Step::Advertise { worker }),
        2 => number.clone().prop_map(|worker| Step::Beat { worker }),
        1 => number.clone().prop_map(|worker| Step::Leave { worker }),
        8 => (number.clone(), prop::option::weighted(0.7, number.clone()), any::<bool>())
            .prop_map(|(worker, run, suspect)| Step::Claim { worker, run, suspect }),
        12 => commit.prop_map(|(run, age, stale, rows, attempt, then, durable)| Step::Commit {
            run, age, stale, rows, attempt, then, durable,
        }),
        1 => rows().prop_map(|rows| Step::CommitAll { rows }),
        9 => (number, 1..4_u128, what(), named(), prop::bool::weighted(0.9)).prop_map(
            |(run, who, what, hash, code_current)| Step::Decide { run, who, what, hash, code_current }
        ),
        2 => Just(Step::Wake),
        1 => Just(Step::DueWithin),
        2 => Just(Step::Bury),
        1 => Just(Step::OutboxTake),
        1 => Just(Step::OutboxDone),
        2 => Just(Step::Pass),
    ]
}
