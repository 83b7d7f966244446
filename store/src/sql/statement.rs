//! The journal's batch on Postgres: one statement, one round trip.
//!
//! Postgres sets up every part of a statement before it looks whether there is anything to do for it. So the statement
//! has the parts that its batch is in need of.
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

/// The fence: of runs that all go on, and of others.
const HOLD: &str = include_str!("statement/hold.sql");
const FENCE: &str = include_str!("statement/fence.sql");
const TASKS: &str = include_str!("statement/tasks.sql");
const FATES: &str = include_str!("statement/fates.sql");
const RELEASE: &str = include_str!("statement/release.sql");
const ATTEMPTS: &str = include_str!("statement/attempts.sql");
const QUESTIONS: &str = include_str!("statement/questions.sql");

/// What a batch needs beside the fence and the rows of its tasks.
#[derive(Clone, Copy)]
struct Needs {
    /// Runs end or are let go of, or something about them is to be noted.
    fates: bool,
    /// Runs are parked or given back.
    release: bool,
    attempts: bool,
    questions: bool,
}

/// How many forms the statement has.
const FORMS: usize = 1 << 4;

impl Needs {
    /// A number below [`FORMS`].
    fn form(self) -> usize {
        [self.fates, self.release, self.attempts, self.questions]
            .iter()
            .fold(0, |form, need| form << 1 | usize::from(*need))
    }

    /// The statement.
    fn text(self) -> String {
        let fence = if self.fates { FENCE } else { HOLD };
        let now = if self.fates { "now" } else { "0::int8" };
        let parts = [
            (true, TASKS),
            (self.fates, FATES),
            (self.release, RELEASE),
            (self.attempts, ATTEMPTS),
            (self.questions, QUESTIONS),
        ];
        let mut text = fence.to_owned();
        for (_, part) in parts.iter().filter(|(needed, _)| *needed) {
            text.push_str(", ");
            text.push_str(part);
        }
        text.push_str("SELECT run_id, phase, intent, inbox_seq, applied, organization_id, epoch, ");
        text.push_str(now);
        text.push_str(" FROM fence");
        number(&text, &mut 0)
    }
}

/// The statement in this form.
fn commit(needs: Needs) -> &'static str {
    static TEXTS: [[OnceLock<String>; FORMS]; 3] = [const { [const { OnceLock::new() }; _] }; _];
    let (bug, condition) = planted();
    TEXTS[bug][needs.form()].get_or_init(|| needs.text().replace(condition, ""))
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
    /// When it was fenced; nothing of a batch whose runs all go on.
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
        let needs = Needs {
            fates: self.entries.any_fate,
            release: self.entries.any_release,
            attempts: !self.attempts.is_empty(),
            questions: !self.asks.is_empty(),
        };
        let mut query = self.entries.bind_claims(sqlx::query(commit(needs)));
        if needs.fates {
            query = self.entries.bind_fates(query);
        }
        query = self.tasks.bind(query);
        if needs.fates {
            query = bind_patience(query);
        }
        if needs.attempts {
            query = self.attempts.bind(query);
        }
        if needs.questions {
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
