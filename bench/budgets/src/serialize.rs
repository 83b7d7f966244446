//! A run as the API answers it.

use std::hint::black_box;

use neena_api::measured::run_as_json;
use neena_store::entities::{flow_run, task_run};
use uuid::Uuid;

use crate::Walk;

const HASH: &str = "9f86d081884c7d659a2feaa0c55ad015a3bf4f1b2b0b822cd15d6c15b0f00a08";
const TIME: i64 = 1_700_000_000_123_456;

/// Makes the JSON of a run of so many tasks from its rows.
pub fn run(operations: i64) -> Walk {
    let run = flow_run::Model {
        id: Uuid::from_u128(1),
        organization_id: Uuid::from_u128(2),
        flow_id: Uuid::from_u128(3),
        flow_version: 1,
        flow_request_id: Uuid::from_u128(4),
        status: "completed".to_owned(),
        approval_status: Some("approved".to_owned()),
        plan_hash: HASH.to_owned(),
        approved_hash: Some(HASH.to_owned()),
        epoch: 1,
        round: 1,
        triggered_by: "ada@example.com".to_owned(),
        triggered_time: TIME,
        start_time: Some(TIME),
        end_time: Some(TIME + 1_000),
        reason: None,
    };
    let tasks: Vec<_> = (0..operations).map(task).collect();
    let mut kept = Vec::new();
    Box::new(move || {
        let json = run_as_json(black_box(&run).clone(), tasks.clone());
        kept.push(json.expect("rows that can be shown"));
    })
}

fn task(index: i64) -> task_run::Model {
    let result = r#"{"path":"/data/in/some/folder","size":4096}"#;
    task_run::Model {
        run_id: Uuid::from_u128(1),
        idx: index,
        item: -1,
        id: Uuid::from_u128(1_000 + index as u128),
        status: "completed".to_owned(),
        epoch: 1,
        attempt: 1,
        attempts_before: 0,
        start_time: Some(TIME + index),
        end_time: Some(TIME + index + 1),
        due_at: None,
        result: Some(result.to_owned()),
        result_size: Some(result.len() as i64),
        error: None,
        prep_prompt: None,
        prep_answer: None,
    }
}
