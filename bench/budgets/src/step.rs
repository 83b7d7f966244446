//! The run machine from the claim to the end: each task that is started ends well, each record is committed.

use std::collections::VecDeque;
use std::hint::black_box;
use std::sync::Arc;

use neena_engine::flow::Flow;
use neena_engine::ids::RunId;
use neena_engine::plan::Plan;
use neena_engine::run::{Command, Event, History, Outcome, Phase, Record, Run, Standing, Then};
use neena_engine::{Json, Micros};
use serde_json::json;
use uuid::Uuid;

use crate::Walk;
use crate::flows::{catalogue, head, spec};

const STANDING: Standing = Standing {
    phase: Phase::Running,
    intent: None,
    inbox_seq: 0,
};

/// Takes a run of so many tasks to its end.
pub fn chain(operations: u32) -> Walk {
    let (plan, result) = planned(operations);
    let mut kept = Vec::new();
    Box::new(move || {
        let records = to_its_end(black_box(&plan), &result);
        let rows: usize = records.iter().map(|record| record.rows.len()).sum();
        assert!(rows >= operations as usize, "every task is recorded");
        kept.push(records);
    })
}

/// What is recorded of such a run.
pub fn records(operations: u32) -> Vec<Record> {
    let (plan, result) = planned(operations);
    to_its_end(&plan, &result)
}

fn planned(operations: u32) -> (Arc<Plan>, Json) {
    let flow = Flow::check(spec(operations), &catalogue()).expect("a flow without fault");
    let graph = flow.graph().expect("a checked flow has a graph");
    let head = head(&graph, json!({"who": "world"}));
    let plan = Plan::make(Arc::new(graph), head).expect("a request that fits");
    let result = Json::of(&json!({"path": "/data/in/some/folder", "size": 4096}));
    (Arc::new(plan), result)
}

fn to_its_end(plan: &Arc<Plan>, result: &Json) -> Vec<Record> {
    let id = RunId(Uuid::from_u128(5));
    let mut run = Run::new(id, Arc::clone(plan), None, &History::default());
    let mut records = Vec::new();
    let mut events = VecDeque::from([Event::Claimed(STANDING)]);
    let mut now = 1_000_000;
    while let Some(event) = events.pop_front() {
        now += 1_000;
        for command in run.on(event, Micros(now)) {
            match command {
                Command::Start(start) => events.push_back(Event::Finished {
                    key: start.key,
                    attempt: start.attempt,
                    started: Micros(now),
                    outcome: Outcome::Completed(result.clone()),
                }),
                Command::Record(record) => {
                    let over = record.then != Then::Hold;
                    let seq = record.seq;
                    records.push(record);
                    if over {
                        return records;
                    }
                    events.push_back(Event::Recorded {
                        seq,
                        standing: STANDING,
                        applied: true,
                    });
                }
                _ => {}
            }
        }
    }
    records
}
