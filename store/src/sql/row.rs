//! Rows to and from the engine's types.

use std::str::FromStr;

use neena_engine::ids::{ClaimId, FlowId, OrganizationId, RunId, TaskRunId, WorkerId};
use neena_engine::run::{Intent, LiveRun, TaskKey, TaskRow};
use neena_engine::{Json, Micros};
use sea_orm::{QueryResult, TryGetable, Value};
use uuid::Uuid;

use super::chunk::Rows;
use crate::{Res, StoreError};

/// Columns of `live_runs`, in the order [`live`] reads them.
pub(super) const LIVE: &str = "run_id, organization_id, flow_id, phase, intent, owner, claim, epoch, claims, \
     inbox_seq, wake_at, ready_at, deadline_at, priority, plan_hash, approved_hash, plan_v";

/// The same of the table `l`, for [`next_live`].
pub(super) const LIVE_OF_L: &str = "l.run_id, l.organization_id, l.flow_id, l.phase, l.intent, l.owner, l.claim, \
     l.epoch, l.claims, l.inbox_seq, l.wake_at, l.ready_at, l.deadline_at, l.priority, l.plan_hash, \
     l.approved_hash, l.plan_v";

/// Inserts rows of `live_runs`; one that is there already stays as it is.
pub(super) static INSERT_LIVE: Rows = Rows::new(
    "INSERT INTO live_runs (run_id, organization_id, flow_id, phase, intent, owner, claim, epoch, claims, \
     inbox_seq, wake_at, ready_at, deadline_at, priority, plan_hash, approved_hash, plan_v) VALUES",
    17,
    "ON CONFLICT (run_id) DO NOTHING",
);

/// Upserts rows of `task_runs`: an outcome is written once, so only what is none yet is replaced.
pub(super) static UPSERT_TASKS: Rows = Rows::new(
    "INSERT INTO task_runs AS t (run_id, idx, item, id, status, epoch, attempt, attempts_before, start_time, \
     end_time, due_at, result, result_size, error, prep_answer) VALUES",
    15,
    "ON CONFLICT (run_id, idx, item) DO UPDATE SET status = excluded.status, epoch = excluded.epoch, \
     attempt = excluded.attempt, attempts_before = excluded.attempts_before, \
     start_time = excluded.start_time, end_time = excluded.end_time, due_at = excluded.due_at, \
     result = excluded.result, result_size = excluded.result_size, error = excluded.error, \
     prep_answer = excluded.prep_answer WHERE t.status IN ('pending', 'in_progress') \
     AND NOT (excluded.attempt < t.attempt AND (excluded.status = 'in_progress' \
       OR excluded.status = 'pending' AND excluded.due_at IS NOT NULL)) \
     AND NOT (excluded.status = 'in_progress' AND t.status = 'pending' AND excluded.attempt = t.attempt)",
);

/// Columns of `task_runs`, in the order [`task`] reads them.
pub(super) const TASK: &str = "idx, item, id, status, attempt, attempts_before, start_time, end_time, due_at, \
     result, error, prep_answer";

/// Reads columns one after the other.
pub(super) struct Reader<'a> {
    row: &'a QueryResult,
    at: usize,
}

impl<'a> Reader<'a> {
    pub(super) fn new(row: &'a QueryResult) -> Reader<'a> {
        Reader { row, at: 0 }
    }

    pub(super) fn get<T: TryGetable>(&mut self) -> Res<T> {
        self.at += 1;
        Ok(self.row.try_get_by_index(self.at - 1)?)
    }

    pub(super) fn id<T: From<Uuid>>(&mut self) -> Res<T> {
        Ok(T::from(self.get::<Uuid>()?))
    }

    pub(super) fn maybe_id<T: From<Uuid>>(&mut self) -> Res<Option<T>> {
        Ok(self.get::<Option<Uuid>>()?.map(T::from))
    }

    pub(super) fn time(&mut self) -> Res<Option<Micros>> {
        Ok(self.get::<Option<i64>>()?.map(Micros))
    }

    /// A number that is stored wider than it is.
    pub(super) fn number<T: TryFrom<i64>>(&mut self) -> Res<T> {
        let number = self.get::<i64>()?;
        T::try_from(number).map_err(|_| unreadable(format!("the number {number} is out of range")))
    }

    /// A number that fits an integer column.
    pub(super) fn small<T: TryFrom<i32>>(&mut self) -> Res<T> {
        let number = self.get::<i32>()?;
        T::try_from(number).map_err(|_| unreadable(format!("the number {number} is out of range")))
    }

    pub(super) fn word<T: FromStr<Err: std::fmt::Display>>(&mut self) -> Res<T> {
        word(&self.get::<String>()?)
    }

    pub(super) fn maybe_word<T: FromStr<Err: std::fmt::Display>>(&mut self) -> Res<Option<T>> {
        self.get::<Option<String>>()?
            .map(|text| word(&text))
            .transpose()
    }

    pub(super) fn json(&mut self) -> Res<Option<Json>> {
        Ok(self.get::<Option<String>>()?.map(Json::trusted))
    }
}

fn word<T: FromStr<Err: std::fmt::Display>>(text: &str) -> Res<T> {
    text.parse()
        .map_err(|error| unreadable(format!("`{text}`: {error}")))
}

fn unreadable(why: String) -> StoreError {
    StoreError::Refused(format!("a stored row cannot be read: {why}"))
}

/// A row of `live_runs`.
pub(super) fn live(row: &QueryResult) -> Res<LiveRun> {
    let live = next_live(&mut Reader::new(row))?;
    live.ok_or_else(|| unreadable("there is no live run".to_owned()))
}

/// The row of `live_runs` in the next columns, if there is one.
pub(super) fn next_live(row: &mut Reader<'_>) -> Res<Option<LiveRun>> {
    let Some(run) = row.maybe_id::<RunId>()? else {
        return Ok(None);
    };
    Ok(Some(LiveRun {
        run,
        organization: row.id::<OrganizationId>()?,
        flow: row.id::<FlowId>()?,
        phase: row.word()?,
        intent: intent(row.get()?)?,
        owner: row.maybe_id::<WorkerId>()?,
        claim: row.maybe_id::<ClaimId>()?,
        epoch: row.get()?,
        claims: row.get()?,
        inbox_seq: row.get()?,
        wake_at: row.time()?,
        ready_at: row.time()?,
        deadline_at: row.time()?,
        priority: row.get()?,
        plan_hash: row.word()?,
        approved_hash: row.maybe_word()?,
        plan_v: row.small()?,
    }))
}

/// The values of a row of `live_runs`.
pub(super) fn live_values(live: &LiveRun) -> Vec<Value> {
    vec![
        live.run.0.into(),
        live.organization.0.into(),
        live.flow.0.into(),
        live.phase.as_str().into(),
        live.intent.map(intent_word).into(),
        live.owner.map(|id| id.0).into(),
        live.claim.map(|id| id.0).into(),
        live.epoch.into(),
        live.claims.into(),
        live.inbox_seq.into(),
        time(live.wake_at),
        time(live.ready_at),
        time(live.deadline_at),
        live.priority.into(),
        live.plan_hash.to_string().into(),
        live.approved_hash.map(|hash| hash.to_string()).into(),
        small(live.plan_v),
    ]
}

/// A row of `task_runs`.
pub(super) fn task(row: &QueryResult) -> Res<TaskRow> {
    let mut row = Reader::new(row);
    let index = row.number()?;
    let item = row.get::<i64>()?;
    Ok(TaskRow {
        key: TaskKey {
            index,
            item: u32::try_from(item).ok(),
        },
        id: row.id::<TaskRunId>()?,
        status: row.word()?,
        attempt: row.number()?,
        attempts_before: row.number()?,
        start_time: row.time()?,
        end_time: row.time()?,
        due_at: row.time()?,
        result: row.json()?,
        error: row.json()?,
        prep_answer: row.json()?,
    })
}

/// Adds the values of a row of `task_runs`.
pub(super) fn task_values(run: RunId, epoch: i64, row: &TaskRow, values: &mut Vec<Value>) {
    let size = row.result.as_ref().map(|result| result.text().len() as i64);
    values.extend([
        run.0.into(),
        i64::from(row.key.index).into(),
        item(row.key).into(),
        row.id.0.into(),
        row.status.as_str().into(),
        epoch.into(),
        i64::from(row.attempt).into(),
        i64::from(row.attempts_before).into(),
        time(row.start_time),
        time(row.end_time),
        time(row.due_at),
        text(row.result.as_ref()),
        size.into(),
        text(row.error.as_ref()),
        text(row.prep_answer.as_ref()),
    ]);
}

/// A task's item as it is stored: -1 without `for_each`.
pub(super) fn item(key: TaskKey) -> i64 {
    key.item.map_or(-1, i64::from)
}

pub(super) fn time(time: Option<Micros>) -> Value {
    time.map(|time| time.0).into()
}

pub(super) fn text(json: Option<&Json>) -> Value {
    json.map(|json| json.text().to_owned()).into()
}

/// A number of an integer column; none of ours comes near its limit.
pub(super) fn small(number: u32) -> Value {
    i32::try_from(number).unwrap_or(i32::MAX).into()
}

fn intent(word: Option<String>) -> Res<Option<Intent>> {
    match word.as_deref() {
        None => Ok(None),
        Some("pause") => Ok(Some(Intent::Pause)),
        Some(other) => Err(unreadable(format!("`{other}` is no intent"))),
    }
}

pub(super) fn intent_word(intent: Intent) -> &'static str {
    match intent {
        Intent::Pause => "pause",
    }
}
