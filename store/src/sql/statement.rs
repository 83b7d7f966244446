//! The journal's batch on Postgres: one statement, one round trip.
//!
//! Its snapshot is older than its locks, and it is right all the same: `locked` reads each row again after
//! the wait, and every other part goes by what `locked` has read. Whatever else of a run changes, changes
//! under the lock of its live row.

use std::collections::HashMap;

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
use super::columns::{Asks, Attempts, Entries, Tasks};
use crate::db::OneStatement;
use crate::{Batch, Entry, Message, Res, StoreError, Verdict};

const COMMIT: &str = include_str!("commit.sql");

/// The statement.
fn commit() -> &'static str {
    fail::fail_point!("commit.unfenced", |_| planted(" AND w.claim = l.claim"));
    fail::fail_point!("outcome.overwritten", |_| planted(
        "AND t.status IN ('pending', 'in_progress')"
    ));
    COMMIT
}

/// A bug that a checker must catch: the statement without a condition.
#[cfg(feature = "failpoints")]
fn planted(condition: &str) -> &'static str {
    static WITHOUT: std::sync::OnceLock<String> = std::sync::OnceLock::new();
    WITHOUT.get_or_init(|| COMMIT.replace(condition, ""))
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
    /// `started` knows the holds whose run's start is noted.
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
        let query = self.entries.bind(sqlx::query(commit()));
        let query = self.attempts.bind(self.tasks.bind(query));
        self.asks.bind(query).fetch_all(connection).boxed()
    }
}

/// Encodes a batch as it is sent; how many values that is. For measurements. An error: a value that Postgres cannot take.
pub fn encoded(batch: &Batch) -> Result<usize, sqlx::error::BoxDynError> {
    let prepared = Prepared::of(batch, &Cache::new(0));
    let query = prepared.entries.bind(sqlx::query(COMMIT));
    let query = prepared.attempts.bind(prepared.tasks.bind(query));
    let mut query = prepared.asks.bind(query);
    Ok(query.take_arguments()?.map_or(0, |values| values.len()))
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
