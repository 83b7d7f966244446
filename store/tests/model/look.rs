//! Everything a store holds, as far as it can be the same in all: ids that stores make and moments are left
//! out, whether they are there is not.

use std::collections::BTreeMap;

use neena_engine::approval::Subject as On;
use neena_engine::ids::RunId;
use neena_engine::run::TaskRow;
use neena_store::entities::{
    approval, ask, flow_result, flow_run, live_run, outbox, task_attempt, worker,
};
use neena_store::{Db, MemoryStore, Store};
use sea_orm::EntityTrait;

use crate::harness::{Logged, gate};

/// Phase, intent, owner, claim, epoch, claims, inbox_seq; whether it has a wake-up time, a ready time and a
/// deadline, and whether it is approved.
type Live = (
    String,
    Option<String>,
    Option<u128>,
    Option<u128>,
    i64,
    i64,
    i64,
    [bool; 4],
);
/// Status, approval, epoch, round, whether it started and ended, the reason.
type Run = (String, Option<String>, i64, i64, bool, bool, Option<String>);

/// Gate, state, stage, whether it was escalated, what is to be told, the answer, the reason; whether it has an
/// end and a next moment.
type AskRow = (
    i64,
    String,
    u32,
    bool,
    Option<String>,
    Option<String>,
    Option<String>,
    [bool; 2],
);

/// A vote: gate, stage, approver, in whose place, and what it says.
type Cast = (i64, u32, u128, Option<String>, String);

/// What is to be the same.
#[derive(Debug, Default, PartialEq)]
pub struct Seen {
    live: BTreeMap<RunId, Live>,
    runs: BTreeMap<RunId, Run>,
    tasks: BTreeMap<RunId, Vec<TaskRow>>,
    /// Round, index, attempt.
    attempts: BTreeMap<RunId, Vec<(i64, i64, i64)>>,
    results: BTreeMap<RunId, String>,
    votes: BTreeMap<RunId, Vec<Cast>>,
    asks: BTreeMap<RunId, Vec<AskRow>>,
    /// What the decision log has of each run, in order.
    pub log: BTreeMap<RunId, Vec<Logged>>,
    messages: Vec<(RunId, String, i64)>,
    alive: Vec<u128>,
    census: (u64, u64, u64),
}

pub async fn memory(store: &MemoryStore, runs: &[RunId]) -> Seen {
    let mut seen = Seen::default();
    for &run in runs {
        if let Some(live) = store.live(run) {
            let row = live_run::Model {
                run_id: run.0,
                organization_id: live.organization.0,
                flow_id: live.flow.0,
                phase: live.phase.to_string(),
                intent: live.intent.map(|_| "pause".to_owned()),
                owner: live.owner.map(|id| id.0),
                claim: live.claim.map(|id| id.0),
                epoch: live.epoch,
                claims: live.claims,
                inbox_seq: live.inbox_seq,
                wake_at: live.wake_at.map(|time| time.0),
                ready_at: live.ready_at.map(|time| time.0),
                deadline_at: live.deadline_at.map(|time| time.0),
                priority: live.priority,
                plan_hash: live.plan_hash.to_string(),
                approved_hash: live.approved_hash.map(|hash| hash.to_string()),
                plan_v: 2,
            };
            seen.live.insert(run, of_live(row));
        }
        if let Some(row) = store.run(run) {
            let seen_run = (
                row.run.status.to_string(),
                row.run.approval_status.map(|status| status.to_string()),
                row.run.epoch,
                i64::from(row.run.round),
                row.start_time.is_some(),
                row.end_time.is_some(),
                row.reason.map(|reason| reason.to_string()),
            );
            seen.runs.insert(run, seen_run);
        }
        let attempts: Vec<_> = store
            .attempts(run)
            .into_iter()
            .map(|(round, of)| (round.into(), of.key.index.into(), of.attempt.into()))
            .collect();
        add(&mut seen.attempts, run, attempts);
        if let Some(body) = store.result(run) {
            seen.results.insert(run, body.to_string());
        }
        for (place, on) in [(-1, On::Run), (1, gate(1)), (3, gate(3))] {
            let votes = store.votes_on(run, on).into_iter().map(|vote| {
                let kind = format!("{:?}", vote.kind).to_lowercase();
                let who = vote.approver.0.as_u128();
                (place, vote.stage, who, vote.stands_in_for, kind)
            });
            add(&mut seen.votes, run, votes.collect());
            let ask = store.ask(run, on).map(|ask| {
                (
                    place,
                    ask.state.to_string(),
                    ask.stage,
                    ask.escalated,
                    ask.tell.map(|tell| tell.as_str().to_owned()),
                    ask.answer.map(|json| json.text().to_owned()),
                    ask.reason,
                    [ask.due_at.is_some(), ask.wake_at.is_some()],
                )
            });
            add(&mut seen.asks, run, ask.into_iter().collect());
        }
    }
    let messages = store.outbox().into_iter();
    seen.messages = messages
        .map(|message| (message.run, message.kind, message.epoch))
        .collect();
    common(&mut seen, store, runs).await;
    seen
}

pub async fn sql(store: &dyn Store, db: &Db, runs: &[RunId]) -> Seen {
    let mut seen = Seen::default();
    let reader = db.reader();
    for row in live_run::Entity::find().all(reader).await.unwrap() {
        seen.live.insert(RunId(row.run_id), of_live(row));
    }
    for row in flow_run::Entity::find().all(reader).await.unwrap() {
        let seen_run = (
            row.status,
            row.approval_status,
            row.epoch,
            i64::from(row.round),
            row.start_time.is_some(),
            row.end_time.is_some(),
            row.reason,
        );
        seen.runs.insert(RunId(row.id), seen_run);
    }
    for row in task_attempt::Entity::find().all(reader).await.unwrap() {
        let attempt = (i64::from(row.round), row.idx, row.attempt);
        add(&mut seen.attempts, RunId(row.run_id), vec![attempt]);
    }
    for row in flow_result::Entity::find().all(reader).await.unwrap() {
        seen.results.insert(RunId(row.run_id), row.body);
    }
    for row in approval::Entity::find().all(reader).await.unwrap() {
        let vote = (
            row.idx,
            row.stage as u32,
            row.approver.as_u128(),
            row.stands_in_for,
            row.decision,
        );
        add(&mut seen.votes, RunId(row.run_id), vec![vote]);
    }
    for row in ask::Entity::find().all(reader).await.unwrap() {
        let ask = (
            row.idx,
            row.state,
            row.stage as u32,
            row.escalated,
            row.tell,
            row.answer,
            row.reason,
            [row.due_at.is_some(), row.wake_at.is_some()],
        );
        add(&mut seen.asks, RunId(row.run_id), vec![ask]);
    }
    for row in outbox::Entity::find().all(reader).await.unwrap() {
        seen.messages.push((RunId(row.run_id), row.kind, row.epoch));
    }
    common(&mut seen, store, runs).await;
    let alive = worker::Entity::find().all(reader).await.unwrap();
    let alive = alive.into_iter().filter(|worker| worker.state == "alive");
    assert_eq!(alive.count(), seen.alive.len());
    seen
}

/// What every store tells itself, and an order for what has none.
async fn common(seen: &mut Seen, store: &dyn Store, runs: &[RunId]) {
    for &run in runs {
        let rows = store.load(run).await.unwrap().rows;
        if !rows.is_empty() {
            seen.tasks.insert(run, rows);
        }
    }
    let roster = store.roster().await.unwrap();
    seen.alive = roster.iter().map(|member| member.id.0.as_u128()).collect();
    let census = store.census().await.unwrap();
    assert_eq!(census.outbox_since.is_some(), census.outbox > 0);
    seen.census = (census.ready, census.outbox, census.workers);
    seen.messages.sort();
    seen.attempts
        .values_mut()
        .for_each(|attempts| attempts.sort_unstable());
    seen.votes.values_mut().for_each(|votes| votes.sort());
    seen.asks.values_mut().for_each(|asks| asks.sort());
}

fn add<T>(map: &mut BTreeMap<RunId, Vec<T>>, run: RunId, more: Vec<T>) {
    if !more.is_empty() {
        map.entry(run).or_default().extend(more);
    }
}

fn of_live(row: live_run::Model) -> Live {
    let there = [
        row.wake_at.is_some(),
        row.ready_at.is_some(),
        row.deadline_at.is_some(),
        row.approved_hash.is_some(),
    ];
    (
        row.phase,
        row.intent,
        row.owner.map(|id| id.as_u128()),
        row.claim.map(|id| id.as_u128()),
        row.epoch,
        row.claims,
        row.inbox_seq,
        there,
    )
}
