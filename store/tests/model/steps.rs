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
        /// Which policies it has.
        shape: u8,
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
        gates: Gates,
        attempt: Option<u32>,
        then: End,
        durable: bool,
    },
    /// Every run's newest claim, in one batch.
    CommitAll {
        rows: Vec<Row>,
        gates: Gates,
    },
    Decide {
        run: usize,
        who: u128,
        what: What,
        hash: Named,
        code_current: bool,
        say: Words,
    },
    /// Everything whose time has come is decided.
    Lapse,
    /// These are the members of the only group.
    Group {
        members: Vec<u128>,
    },
    Lend {
        from: u128,
        to: u128,
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

/// Gates that a record reaches, and gates it asks about no more.
#[derive(Clone, Debug)]
pub struct Gates {
    pub reached: Vec<u32>,
    pub withdrawn: Vec<u32>,
}

/// What is said beside yes and no.
#[derive(Clone, Copy, Debug)]
pub struct Words {
    /// None: about the run.
    pub gate: Option<u32>,
    pub stage: Option<&'static str>,
    pub comment: bool,
    pub answer: bool,
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

fn gates() -> impl Strategy<Value = Gates> {
    let some = |most| proptest::collection::vec(prop_oneof![Just(1_u32), Just(3)], 0..most);
    (some(3), prop_oneof![4 => Just(Vec::new()), 1 => some(2)])
        .prop_map(|(reached, withdrawn)| Gates { reached, withdrawn })
}

fn words() -> impl Strategy<Value = Words> {
    let stage = prop_oneof![
        6 => Just(None),
        1 => Just(Some("approval")),
        2 => Just(Some("first")),
        2 => Just(Some("last")),
    ];
    let gate = prop_oneof![6 => Just(None), 2 => Just(Some(1_u32)), 2 => Just(Some(3))];
    (
        gate,
        stage,
        prop::bool::weighted(0.7),
        prop::bool::weighted(0.2),
    )
        .prop_map(|(gate, stage, comment, answer)| Words {
            gate,
            stage,
            comment,
            answer,
        })
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
        gates(),
        prop::option::weighted(0.3, 1..3_u32),
        end(),
        any::<bool>(),
    );
    prop_oneof![
        3 => (1..3_u32, prop_oneof![4 => Just(0_u8), 1 => 1..3_u8]).prop_map(|(quorum, shape)| Step::Create { quorum, shape }),
        2 => Just(Step::Join),
        1 => number.clone().prop_map(|worker| Step::Advertise { worker }),
        2 => number.clone().prop_map(|worker| Step::Beat { worker }),
        1 => number.clone().prop_map(|worker| Step::Leave { worker }),
        8 => (number.clone(), prop::option::weighted(0.7, number.clone()), any::<bool>())
            .prop_map(|(worker, run, suspect)| Step::Claim { worker, run, suspect }),
        12 => commit.prop_map(|(run, age, stale, rows, gates, attempt, then, durable)| Step::Commit {
            run, age, stale, rows, gates, attempt, then, durable,
        }),
        1 => (rows(), gates()).prop_map(|(rows, gates)| Step::CommitAll { rows, gates }),
        16 => (number, 1..4_u128, what(), named(), prop::bool::weighted(0.9), words()).prop_map(
            |(run, who, what, hash, code_current, say)| Step::Decide { run, who, what, hash, code_current, say }
        ),
        3 => Just(Step::Lapse),
        2 => proptest::collection::vec(1..4_u128, 1..3).prop_map(|members| Step::Group { members }),
        1 => (1..4_u128, 1..4_u128).prop_map(|(from, to)| Step::Lend { from, to }),
        2 => Just(Step::Wake),
        1 => Just(Step::DueWithin),
        2 => Just(Step::Bury),
        1 => Just(Step::OutboxTake),
        1 => Just(Step::OutboxDone),
        2 => Just(Step::Pass),
    ]
}
