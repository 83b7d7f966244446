//! Many runs, random records, random faults: what is written is what was pushed, in order.

use std::collections::BTreeMap;
use std::time::Duration;

use neena_engine::run::{Record, RunStatus, TaskRow};
use neena_store::{Journal, StoreError};
use proptest::prelude::*;

use super::{journal, nowhere, push};
use crate::harness::{Fault, Scripted, World, completed, finish, hold, started, then};

/// A step: a run pushes rows, and then some time passes.
#[derive(Clone, Debug)]
struct Step {
    run: usize,
    rows: Vec<(u32, bool)>,
    urgent: bool,
    wait_ms: u64,
}

fn step() -> impl Strategy<Value = Step> {
    let rows = prop::collection::vec((0_u32..12, any::<bool>()), 0..9);
    let wait = prop_oneof![4 => Just(0), 1 => 1_u64..80];
    (0_usize..4, rows, any::<bool>(), wait).prop_map(|(run, rows, urgent, wait_ms)| Step {
        run,
        rows,
        urgent,
        wait_ms,
    })
}

fn fault() -> impl Strategy<Value = Fault> {
    (0_u8..4).prop_map(|kind| match kind {
        0 => Fault::Before(StoreError::Unavailable("down".into())),
        1 => Fault::After(StoreError::Unknown("lost".into())),
        2 => Fault::Before(StoreError::Full("full".into())),
        _ => Fault::Before(StoreError::Unknown("lost".into())),
    })
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(200))]

    #[test]
    fn every_record_is_written_in_order_whatever_fails(
        steps in prop::collection::vec(step(), 1..60),
        faults in prop::collection::vec(fault(), 0..20),
    ) {
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .start_paused(true)
            .build()
            .unwrap();
        runtime.block_on(storm(steps, faults));
    }
}

async fn storm(steps: Vec<Step>, faults: Vec<Fault>) {
    let world = World::in_memory();
    let mut held = Vec::new();
    for _ in 0..4 {
        held.push(world.held().await);
    }
    let store = Scripted::new(world.store.clone());
    let lossy = faults.iter().any(|fault| matches!(fault, Fault::After(_)));
    store.then(faults);
    let journal = journal(&store);
    let mut expected: Vec<BTreeMap<u32, TaskRow>> = vec![BTreeMap::new(); held.len()];
    let mut pending: Vec<Vec<_>> = held.iter().map(|_| Vec::new()).collect();
    for (at, step) in steps.into_iter().enumerate() {
        let held = &held[step.run];
        let rows: Vec<TaskRow> = step
            .rows
            .iter()
            .map(|(index, done)| match done {
                true => completed(held.run, *index, &format!("by step {at}")),
                false => started(held.run, *index),
            })
            .collect();
        for row in &rows {
            let old = expected[step.run]
                .entry(row.key.index)
                .or_insert_with(|| row.clone());
            if !old.status.is_outcome() {
                *old = row.clone();
            }
        }
        let seq = pending[step.run].len() as u64 + 1;
        let record = Record {
            seq,
            urgent: step.urgent,
            ..hold(rows)
        };
        pending[step.run].push(push(&journal, held, record).await);
        tokio::time::sleep(Duration::from_millis(step.wait_ms)).await;
    }
    for (at, held) in held.iter().enumerate() {
        let seq = pending[at].len() as u64 + 1;
        let end = Record {
            seq,
            ..then(vec![], finish(RunStatus::Completed))
        };
        pending[at].push(push(&journal, held, end).await);
    }
    for (at, pending) in pending.into_iter().enumerate() {
        for (seq, pending) in (1..).zip(pending) {
            let (number, verdict) = pending.await;
            let verdict = verdict.unwrap();
            assert_eq!(number, seq);
            // The end may have been written by a try whose answer was lost; then the claim is over.
            assert!(verdict.held && verdict.applied || lossy, "{verdict:?}");
        }
        let rows = world.store.load(held[at].run).await.unwrap().rows;
        assert_eq!(rows, expected[at].values().cloned().collect::<Vec<_>>());
        assert_eq!(world.row(held[at].run).await.status, "completed");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn many_runs_share_commits_on_sqlite() {
    let world = World::on_sqlite().await;
    let mut held = Vec::new();
    for _ in 0..64 {
        held.push(world.held().await);
    }
    let journal = Journal::start(world.store.clone(), nowhere());
    let before = world.db().unwrap().commits();
    let runs = held.iter().map(|held| {
        let journal = journal.clone();
        async move {
            for seq in 1..=10 {
                let rows = vec![completed(held.run, seq, "done")];
                let record = Record {
                    seq: seq.into(),
                    ..hold(rows)
                };
                let (_, verdict) = push(&journal, held, record).await.await;
                assert!(verdict.unwrap().held);
            }
            let end = Record {
                seq: 11,
                ..then(vec![], finish(RunStatus::Completed))
            };
            let (_, verdict) = push(&journal, held, end).await.await;
            assert!(verdict.unwrap().applied);
        }
    });
    futures_util::future::join_all(runs).await;
    let commits = world.db().unwrap().commits().durable - before.durable;
    assert!(
        commits < 64 * 11 / 4,
        "{commits} commits for {} records",
        64 * 11
    );
    for held in &held {
        assert_eq!(world.tasks(held.run).await.len(), 10);
        assert_eq!(world.row(held.run).await.status, "completed");
    }
}
