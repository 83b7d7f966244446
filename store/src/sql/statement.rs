//! The journal's batch on Postgres: one statement, one round trip.
//!
//! Postgres sets up every part of a statement before it looks whether there is anything to do for it, which takes
//! longer than to record an outcome. So the statement has the parts that its batch is in need of.
//!
//! Its snapshot is older than its locks, and it is right all the same: `locked` reads each row again after
//! the wait, and every other part goes by what `locked` has read. Whatever else of a run changes, changes
//! under the lock of its live row.

use std::collections::HashMap;
use std::sync::OnceLock;

use futures_util::FutureExt;
use futures_util::future::BoxFuture;
use moka::sync::Cache;
use neena_engine::Micros;
use neena_engine::ids::{OrganizationId, RunId};
use neena_engine::run::{Intent, Phase, RunStatus, Then};
use sqlx::postgres::{PgConnection, PgRow};
use sqlx::{Arguments, Error, Execute, Row};
use uuid::Uuid;

use super::Hold;
use super::columns::{Asks, Attempts, Bound, Entries, Tasks, bind_patience};
use super::script::number;
use crate::db::OneStatement;
use crate::{Batch, Entry, Message, Res, StoreError, Verdict};

/// The fence and the rows of tasks, which every batch has.
const RECORD: &str = include_str!("statement/record.sql");
/// Parts that a batch may do without.
const PARTS: [&str; 4] = [
    include_str!("statement/fate.sql"),
    include_str!("statement/release.sql"),
    include_str!("statement/attempts.sql"),
    include_str!("statement/questions.sql"),
];
const ANSWER: &str =
    "SELECT run_id, phase, intent, inbox_seq, applied, organization_id, epoch, now FROM fence";

/// Which of [`PARTS`] a batch is in need of.
type Needs = [bool; PARTS.len()];

/// The statement with these parts.
fn commit(needs: Needs) -> &'static str {
    static FORMS: [[OnceLock<String>; 1 << PARTS.len()]; 3] = [const { [const { OnceLock::new() }; _] }; _];
    let (bug, condition) = planted();
    let form = needs.iter().fold(0, |form, need| form << 1 | usize::from(*need));
    FORMS[bug][form].get_or_init(|| written(needs).replace(condition, ""))
}

fn written(needs: Needs) -> String {
    let mut text = RECORD.to_owned();
    for (part, _) in PARTS.iter().zip(needs).filter(|(_, needed)| *needed) {
        text.push_str(", ");
        text.push_str(part);
    }
    text.push_str(ANSWER);
    number(&text, &mut 0)
}

/// Bugs that a checker must catch: the statement without one of its conditions.
fn planted() -> (usize, &'static str) {
    fail::fail_point!("commit.unfenced", |_| (1, " AND w.claim = l.claim"));
    fail::fail_point!("outcome.overwritten", |_| (
        2,
        "AND t.status IN ('pending', 'in_progress')"
    ));
    (0, "")
}

/// What the statement says of a run whose claim stands.
struct Fenced {
    phase: Phase,
    intent: Option<Intent>,
    inbox_seq: i64,
    applied: bool,
    organization: OrganizationId,
    epoch: i64,
    now: Micros,
}

/// A batch as the statement takes it.
pub(super) struct Prepared<'a> {
    entries: Entries<'a>,
    tasks: Tasks<'a>,
    attempts: Attempts<'a>,
    asks: Asks,
}

impl<'a> Prepared<'a> {
    /// `noted` knows the holds of which all is noted.
    pub(super) fn of(batch: &'a Batch, started: &Cache<Hold, ()>) -> Prepared<'a> {
        let mut prepared = Prepared {
            entries: Entries::default(),
            tasks: Tasks::default(),
            attempts: Attempts::default(),
            asks: Asks::default(),
        };
        for entry in &batch.entries {
            let noted = started.contains_key(&(entry.run, entry.claim));
            prepared.entries.push(entry, noted);
            prepared.tasks.extend(entry);
            prepared.attempts.extend(entry);
            prepared.asks.extend(entry);
        }
        prepared
    }

    /// The statement with its values, in the order of its parts.
    fn query(&self) -> Bound<'_> {
        let needs = [
            self.entries.any_fate,
            self.entries.any_release,
            !self.attempts.is_empty(),
            !self.asks.is_empty(),
        ];
        let [fates, _, attempts, asks] = needs;
        let mut query = self.tasks.bind(self.entries.bind(sqlx::query(commit(needs))));
        if fates {
            query = bind_patience(query);
        }
        if attempts {
            query = self.attempts.bind(query);
        }
        if asks {
            query = self.asks.bind(query);
        }
        query
    }

    /// One verdict per entry, in order.
    pub(super) fn verdicts(&self, batch: &Batch, rows: &[PgRow]) -> Res<Vec<Verdict>> {
        let mut fence: HashMap<RunId, Fenced> = HashMap::with_capacity(rows.len());
        for row in rows {
            fence.insert(RunId(row.try_get(0)?), read(row)?);
        }
        let entries = batch.entries.iter().zip(&self.entries.message);
        Ok(entries
            .map(|(entry, message)| match fence.remove(&entry.run) {
                Some(fenced) => verdict(entry, *message, &fenced),
                None => Verdict::fenced(entry.run),
            })
            .collect())
    }
}

impl OneStatement for Prepared<'_> {
    fn send<'c>(
        &'c self,
        connection: &'c mut PgConnection,
    ) -> BoxFuture<'c, Result<Vec<PgRow>, Error>> {
        self.query().fetch_all(connection).boxed()
    }
}

/// Encodes a batch as it is sent; how many values that is. For measurements. An error: a value that Postgres cannot take.
pub fn encoded(batch: &Batch) -> Result<usize, sqlx::error::BoxDynError> {
    let prepared = Prepared::of(batch, &Cache::new(0));
    let arguments = prepared.query().take_arguments()?;
    Ok(arguments.map_or(0, |values| values.len()))
}

fn read(row: &PgRow) -> Res<Fenced> {
    let phase: &str = row.try_get(1)?;
    let intent: Option<&str> = row.try_get(2)?;
    Ok(Fenced {
        phase: phase
            .parse()
            .map_err(|error| StoreError::Refused(format!("`{phase}`: {error}")))?,
        intent: intent.map(|_| Intent::Pause),
        inbox_seq: row.try_get(3)?,
        applied: row.try_get(4)?,
        organization: OrganizationId(row.try_get(5)?),
        epoch: row.try_get(6)?,
        now: Micros(row.try_get(7)?),
    })
}

fn verdict(entry: &Entry, message: Uuid, fenced: &Fenced) -> Verdict {
    let ended = match &entry.record.then {
        Then::Finish(end) => Some(end.status),
        Then::Close { .. } => Some(RunStatus::Cancelled),
        Then::Hold | Then::Park { .. } | Then::Yield => None,
    };
    let event = ended.filter(|_| fenced.applied).map(|status| Message {
        id: message,
        kind: format!("flow_run.{status}"),
        organization: fenced.organization,
        run: entry.run,
        epoch: fenced.epoch,
        at: fenced.now,
    });
    Verdict {
        run: entry.run,
        held: true,
        phase: fenced.phase,
        intent: fenced.intent,
        inbox_seq: fenced.inbox_seq,
        applied: fenced.applied,
        outbox: event.into_iter().collect(),
    }
}
