//! Records, in few words.

use neena_engine::ids::{RunId, TaskRunId};
use neena_engine::run::{Record, TaskKey, TaskRow, TaskStatus, Then};
use neena_engine::{Json, Micros};

/// A row of a run's task `index`.
fn row(run: RunId, index: u32, status: TaskStatus, attempt: u32) -> TaskRow {
    TaskRow {
        key: TaskKey { index, item: None },
        id: TaskRunId::of(run, index, None),
        status,
        attempt,
        attempts_before: 0,
        start_time: Some(Micros(1_000)),
        end_time: status.is_outcome().then_some(Micros(2_000)),
        due_at: None,
        result: None,
        error: None,
        prep_answer: None,
    }
}

pub fn started(run: RunId, index: u32) -> TaskRow {
    row(run, index, TaskStatus::InProgress, 1)
}

pub fn pending(run: RunId, index: u32, due_at: Micros) -> TaskRow {
    TaskRow {
        due_at: Some(due_at),
        ..row(run, index, TaskStatus::Pending, 1)
    }
}

pub fn completed(run: RunId, index: u32, result: &str) -> TaskRow {
    TaskRow {
        result: Some(Json::of(&result)),
        ..row(run, index, TaskStatus::Completed, 1)
    }
}

pub fn failed(run: RunId, index: u32) -> TaskRow {
    let error = Json::trusted(r#"{"type":"exception","message":"on purpose"}"#);
    TaskRow {
        error: Some(error),
        ..row(run, index, TaskStatus::Failed, 1)
    }
}

pub fn skipped(run: RunId, index: u32) -> TaskRow {
    TaskRow {
        start_time: None,
        ..row(run, index, TaskStatus::Skipped, 0)
    }
}

/// An urgent record of these rows; the owner keeps the run.
pub fn hold(rows: Vec<TaskRow>) -> Record {
    then(rows, Then::Hold)
}

/// An urgent record of these rows and what becomes of the run.
pub fn then(rows: Vec<TaskRow>, then: Then) -> Record {
    Record {
        seq: 1,
        rows,
        then,
        urgent: true,
        ..Record::default()
    }
}
