//! A batch as columns: one array each, as Postgres takes them.

use std::time::Duration;

use neena_engine::Json;
use neena_engine::approval::Subject;
use neena_engine::run::Then;
use sqlx::Postgres;
use sqlx::postgres::PgArguments;
use sqlx::query::Query;
use uuid::Uuid;

use super::asks::place;
use super::row::item;
use crate::Entry;
use crate::rows::standing;
use crate::seam::{GIVEN_BACK, HEAD_START};

pub(super) type Bound<'q> = Query<'q, Postgres, PgArguments>;

/// What is to become of each run.
#[derive(Default)]
pub(super) struct Entries<'a> {
    run: Vec<Uuid>,
    claim: Vec<Uuid>,
    act: Vec<&'static str>,
    seen: Vec<i64>,
    wake_at: Vec<Option<i64>>,
    status: Vec<Option<&'static str>>,
    reason: Vec<Option<&'a str>>,
    body: Vec<Option<&'a str>>,
    start_time: Vec<Option<i64>>,
    noting: Vec<bool>,
    outcome: Vec<bool>,
    pub(super) message: Vec<Uuid>,
    result: Vec<Uuid>,
    /// Whether any run is to end or to be let go of, or has something to be noted.
    pub(super) any_fate: bool,
    /// Whether any run is to be parked or given back.
    pub(super) any_release: bool,
}

impl<'a> Entries<'a> {
    /// `noted`: the run's start and that this claim got somewhere are known to be noted.
    pub(super) fn push(&mut self, entry: &'a Entry, noted: bool) {
        let rows = &entry.record.rows;
        let then = &entry.record.then;
        self.any_fate |= !matches!(then, Then::Hold) || !noted && !rows.is_empty();
        self.any_release |= matches!(then, Then::Park { .. } | Then::Yield);
        self.run.push(entry.run.0);
        self.claim.push(entry.claim.0);
        self.seen.push(entry.seen);
        let starts = rows.iter().filter_map(|row| row.start_time);
        self.start_time.push(starts.min().map(|time| time.0));
        self.noting.push(!noted && !rows.is_empty());
        self.outcome
            .push(rows.iter().any(|row| row.status.is_outcome()));
        self.message.push(Uuid::now_v7());
        self.result.push(Uuid::now_v7());
        let (mut wake_at, mut status, mut reason, mut body) = (None, None, None, None);
        let act = match then {
            Then::Hold => "hold",
            Then::Yield => "yield",
            Then::Park {
                wake_at: until,
                reason: why,
            } => {
                wake_at = until.map(|time| time.0);
                reason = why.as_deref();
                "park"
            }
            Then::Finish(end) => {
                status = Some(end.status.as_str());
                reason = end.reason.as_deref();
                body = Some(&*end.body);
                "finish"
            }
            Then::Close { body: text } => {
                body = Some(&**text);
                "close"
            }
        };
        self.act.push(act);
        self.wake_at.push(wake_at);
        self.status.push(status);
        self.reason.push(reason);
        self.body.push(body);
    }

    pub(super) fn bind_claims<'q>(&'q self, query: Bound<'q>) -> Bound<'q> {
        query.bind(&self.run).bind(&self.claim)
    }

    /// After the claims.
    pub(super) fn bind_fates<'q>(&'q self, query: Bound<'q>) -> Bound<'q> {
        query
            .bind(&self.act)
            .bind(&self.seen)
            .bind(&self.wake_at)
            .bind(&self.status)
            .bind(&self.reason)
            .bind(&self.body)
            .bind(&self.start_time)
            .bind(&self.noting)
            .bind(&self.outcome)
            .bind(&self.message)
            .bind(&self.result)
    }
}

/// Rows of `task_runs`.
#[derive(Default)]
pub(super) struct Tasks<'a> {
    run: Vec<Uuid>,
    index: Vec<i64>,
    item: Vec<i64>,
    id: Vec<Uuid>,
    status: Vec<&'static str>,
    attempt: Vec<i64>,
    attempts_before: Vec<i64>,
    start_time: Vec<Option<i64>>,
    end_time: Vec<Option<i64>>,
    due_at: Vec<Option<i64>>,
    result: Vec<Option<&'a str>>,
    error: Vec<Option<&'a str>>,
    prep_answer: Vec<Option<&'a str>>,
}

impl<'a> Tasks<'a> {
    pub(super) fn extend(&mut self, entry: &'a Entry) {
        for row in standing(&entry.record.rows) {
            self.run.push(entry.run.0);
            self.index.push(i64::from(row.key.index));
            self.item.push(item(row.key));
            self.id.push(row.id.0);
            self.status.push(row.status.as_str());
            self.attempt.push(i64::from(row.attempt));
            self.attempts_before.push(i64::from(row.attempts_before));
            self.start_time.push(row.start_time.map(|time| time.0));
            self.end_time.push(row.end_time.map(|time| time.0));
            self.due_at.push(row.due_at.map(|time| time.0));
            self.result.push(text(row.result.as_ref()));
            self.error.push(text(row.error.as_ref()));
            self.prep_answer.push(text(row.prep_answer.as_ref()));
        }
    }

    pub(super) fn bind<'q>(&'q self, query: Bound<'q>) -> Bound<'q> {
        query
            .bind(&self.run)
            .bind(&self.index)
            .bind(&self.item)
            .bind(&self.id)
            .bind(&self.status)
            .bind(&self.attempt)
            .bind(&self.attempts_before)
            .bind(&self.start_time)
            .bind(&self.end_time)
            .bind(&self.due_at)
            .bind(&self.result)
            .bind(&self.error)
            .bind(&self.prep_answer)
    }
}

/// Rows of `task_attempts`.
#[derive(Default)]
pub(super) struct Attempts<'a> {
    run: Vec<Uuid>,
    index: Vec<i64>,
    item: Vec<i64>,
    attempt: Vec<i64>,
    start_time: Vec<Option<i64>>,
    end_time: Vec<Option<i64>>,
    error: Vec<&'a str>,
}

impl<'a> Attempts<'a> {
    pub(super) fn extend(&mut self, entry: &'a Entry) {
        for attempt in &entry.record.attempts {
            self.run.push(entry.run.0);
            self.index.push(i64::from(attempt.key.index));
            self.item.push(item(attempt.key));
            self.attempt.push(i64::from(attempt.attempt));
            self.start_time.push(attempt.start_time.map(|time| time.0));
            self.end_time.push(attempt.end_time.map(|time| time.0));
            self.error.push(attempt.error.text());
        }
    }

    pub(super) fn is_empty(&self) -> bool {
        self.run.is_empty()
    }

    pub(super) fn bind<'q>(&'q self, query: Bound<'q>) -> Bound<'q> {
        query
            .bind(&self.run)
            .bind(&self.index)
            .bind(&self.item)
            .bind(&self.attempt)
            .bind(&self.start_time)
            .bind(&self.end_time)
            .bind(&self.error)
    }
}

/// Rows of `asks` as columns, and the places of those that go.
#[derive(Default)]
pub(super) struct Asks {
    run: Vec<Uuid>,
    index: Vec<i64>,
    item: Vec<i64>,
    name: Vec<String>,
    stage: Vec<i32>,
    needed: Vec<i32>,
    audience: Vec<String>,
    body: Vec<String>,
    asked_at: Vec<i64>,
    due_at: Vec<Option<i64>>,
    wake_at: Vec<Option<i64>>,
    tell: Vec<Option<&'static str>>,
    requester: Vec<String>,
    author: Vec<Option<String>>,
    withdrawn_run: Vec<Uuid>,
    withdrawn_index: Vec<i64>,
    withdrawn_item: Vec<i64>,
}

impl Asks {
    pub(super) fn extend(&mut self, entry: &Entry) {
        let withdrawn = &entry.record.withdrawn;
        for one in &entry.record.asks {
            // The parts of one statement do not see each other: what goes at once is not written at all.
            if matches!(one.ask.subject, Subject::Gate(key) if withdrawn.contains(&key)) {
                continue;
            }
            let (index, item) = place(one.ask.subject);
            self.run.push(entry.run.0);
            self.index.push(index);
            self.item.push(item);
            self.name.push(one.name.clone());
            self.stage
                .push(i32::try_from(one.ask.stage).unwrap_or(i32::MAX));
            self.needed
                .push(i32::try_from(one.needed).unwrap_or(i32::MAX));
            self.audience.push(one.audience.hash().to_string());
            self.body
                .push(serde_json::to_string(&one.audience).unwrap_or_default());
            self.asked_at.push(one.ask.asked_at.0);
            self.due_at.push(one.ask.due_at.map(|time| time.0));
            self.wake_at.push(one.ask.wake_at.map(|time| time.0));
            self.tell.push(one.ask.tell.map(|tell| tell.as_str()));
            self.requester
                .push(one.requester.clone().unwrap_or_default());
            self.author.push(one.author.clone());
        }
        for gate in withdrawn {
            let (index, item) = place(Subject::Gate(*gate));
            self.withdrawn_run.push(entry.run.0);
            self.withdrawn_index.push(index);
            self.withdrawn_item.push(item);
        }
    }

    pub(super) fn is_empty(&self) -> bool {
        self.run.is_empty() && self.withdrawn_run.is_empty()
    }

    pub(super) fn bind<'q>(&'q self, query: Bound<'q>) -> Bound<'q> {
        query
            .bind(&self.run)
            .bind(&self.index)
            .bind(&self.item)
            .bind(&self.name)
            .bind(&self.stage)
            .bind(&self.needed)
            .bind(&self.audience)
            .bind(&self.body)
            .bind(&self.asked_at)
            .bind(&self.due_at)
            .bind(&self.wake_at)
            .bind(&self.tell)
            .bind(&self.requester)
            .bind(&self.author)
            .bind(&self.withdrawn_run)
            .bind(&self.withdrawn_index)
            .bind(&self.withdrawn_item)
    }
}

/// How long others leave messages alone: those of runs that were given back, and those this process is about to
/// publish itself.
pub(super) fn bind_patience(query: Bound<'_>) -> Bound<'_> {
    query.bind(micros(GIVEN_BACK)).bind(micros(HEAD_START))
}

fn text(json: Option<&Json>) -> Option<&str> {
    json.map(Json::text)
}

fn micros(time: Duration) -> i64 {
    i64::try_from(time.as_micros()).unwrap_or(i64::MAX)
}
