//! The rows of the table of faults, one file each.

mod approvers;
mod bad_row;
mod blocked_broker;
mod broker_down;
mod broker_restarts;
mod cancel_race;
mod consumer_timeout;
mod database_restarts;
mod duplicates;
mod full_disk;
mod hang_up;
mod killed_worker;
mod lost_commits;
mod lost_confirms;
mod lost_node;
mod lost_reply;
mod overload;
mod poison;
mod purged_queue;
mod relay;
mod retry_storm;
mod rolling_restart;
mod shapes;
mod slow_database;
mod unbound_queue;
mod zombie;

use futures_util::future::BoxFuture;

use crate::lab::Lab;
use crate::report::Outcome;

/// A fault, and the test that it is stood up to.
pub struct Row {
    pub number: u32,
    pub what: &'static str,
    pub run: for<'a> fn(&'a Lab) -> BoxFuture<'a, anyhow::Result<Outcome>>,
    /// Planted bugs (failpoints of every process), each of which must make the row fail.
    pub controls: &'static [&'static str],
    /// The scale in the short form; none: it is no part of it.
    pub short: Option<f64>,
}

macro_rules! row {
    ($number:literal, $module:ident, $what:literal, [$($control:literal),*], $short:expr) => {
        Row {
            number: $number,
            what: $what,
            run: |lab| Box::pin($module::run(lab)),
            controls: &[$($control),*],
            short: $short,
        }
    };
}

/// All rows, by number.
pub static ROWS: &[Row] = &[
    row!(
        1,
        relay,
        "the API dies between a commit and its message",
        ["outbox.forgotten=return"],
        Some(0.1)
    ),
    row!(
        2,
        lost_reply,
        "the API dies before or after a commit; clients ask again",
        [],
        None
    ),
    row!(
        3,
        hang_up,
        "clients hang up in the middle of requests",
        ["unit.inline=return"],
        None
    ),
    row!(
        4,
        broker_down,
        "the broker is down while runs are approved",
        [],
        None
    ),
    row!(
        5,
        duplicates,
        "wake-ups are delivered several times",
        ["claim.takes_held=return"],
        Some(0.1)
    ),
    row!(
        6,
        purged_queue,
        "the queue is purged, the broker's disk is lost",
        [],
        None
    ),
    row!(
        7,
        unbound_queue,
        "the queue's binding goes missing",
        ["publish.not_mandatory=return"],
        None
    ),
    row!(
        8,
        lost_confirms,
        "confirms of the broker never come",
        [],
        None
    ),
    row!(
        9,
        killed_worker,
        "workers are killed in the middle of tasks",
        ["history.forgotten=return", "keeper.buries_nobody=return"],
        Some(0.25)
    ),
    row!(
        10,
        zombie,
        "workers wake after their lease and write",
        ["commit.unfenced=return"],
        Some(0.2)
    ),
    row!(
        11,
        database_restarts,
        "the database crashes again and again",
        [],
        None
    ),
    row!(
        12,
        lost_commits,
        "answers to commits are lost",
        ["outcome.overwritten=return"],
        Some(0.05)
    ),
    row!(
        13,
        bad_row,
        "the database refuses one row of a batch",
        ["batch.unsplit=return"],
        None
    ),
    row!(
        14,
        broker_restarts,
        "the broker restarts again and again",
        [],
        None
    ),
    row!(
        15,
        lost_node,
        "the node that leads the queue is killed, again and again",
        [],
        None
    ),
    row!(16, blocked_broker, "the broker takes nothing", [], None),
    row!(
        17,
        consumer_timeout,
        "runs outlast the broker's patience; connections are closed",
        [],
        None
    ),
    row!(18, poison, "a run kills its worker each time", [], None),
    row!(20, full_disk, "the database's disk is full", [], None),
    row!(21, slow_database, "the database answers slowly", [], None),
    row!(
        30,
        cancel_race,
        "cancels race with completions",
        [],
        Some(0.02)
    ),
    row!(
        31,
        approvers,
        "many people approve at once",
        ["decide.unlocked=return"],
        Some(0.1)
    ),
    row!(
        33,
        rolling_restart,
        "workers are told to stop one after the other",
        [],
        Some(0.2)
    ),
    row!(
        39,
        retry_storm,
        "thousands of runs fail and are tried again",
        [],
        None
    ),
    row!(
        40,
        overload,
        "more requests than the API can serve",
        [],
        None
    ),
];
