//! Data that the store refuses: the record at fault is found, and nothing after it is written.

use std::time::Duration;

use neena_engine::run::{Record, RunStatus};
use neena_store::{Pending, StoreError};

use super::{answered, journal, lazy, push, settle, urgent};
use crate::harness::{Scripted, UNSTORABLE, World, completed, finish, started, then};

async fn is_refused(pending: Pending) -> bool {
    matches!(pending.await.1, Err(StoreError::Refused(_)))
}

#[tokio::test(start_paused = true)]
async fn of_many_runs_only_the_one_at_fault_is_refused() {
    let world = World::in_memory();
    let store = Scripted::shut(world.store.clone());
    let journal = journal(&store);
    let mut pushed = Vec::new();
    for at in 0..21 {
        let held = world.held().await;
        let result = if at == 13 { UNSTORABLE } else { "done" };
        let rows = vec![completed(held.run, 0, result)];
        pushed.push((held.run, push(&journal, &held, urgent(1, rows)).await));
        settle().await;
    }
    store.open(1_000);
    for (at, (run, pending)) in pushed.into_iter().enumerate() {
        assert_eq!(is_refused(pending).await, at == 13);
        assert_eq!(world.tasks(run).await.len(), usize::from(at != 13));
    }
}

#[tokio::test(start_paused = true)]
async fn records_before_the_fault_are_written_and_those_after_it_are_not() {
    let world = World::in_memory();
    let held = world.held().await;
    let store = Scripted::shut(world.store.clone());
    let journal = journal(&store);
    let mut pending = vec![push(&journal, &held, urgent(1, vec![started(held.run, 9)])).await];
    settle().await;
    for seq in 2..=8 {
        let result = if seq == 5 { UNSTORABLE } else { "done" };
        let rows = vec![completed(held.run, u32::try_from(seq).unwrap(), result)];
        pending.push(push(&journal, &held, lazy(seq, rows)).await);
    }
    store.open(1_000);
    tokio::time::sleep(Duration::from_millis(60)).await;
    for (seq, pending) in (1..).zip(pending) {
        assert_eq!(is_refused(pending).await, seq >= 5, "{seq}");
    }
    let tasks: Vec<u32> = world
        .tasks(held.run)
        .await
        .iter()
        .map(|task| task.0)
        .collect();
    assert_eq!(tasks, [2, 3, 4, 9]);
}

#[tokio::test(start_paused = true)]
async fn what_is_pushed_before_the_refusal_is_seen_is_void_and_after_it_is_not() {
    let world = World::in_memory();
    let held = world.held().await;
    let journal = journal(&Scripted::new(world.store.clone()));
    let fault = push(
        &journal,
        &held,
        urgent(1, vec![completed(held.run, 0, UNSTORABLE)]),
    )
    .await;
    settle().await;
    let unaware = push(
        &journal,
        &held,
        urgent(2, vec![completed(held.run, 1, "done")]),
    )
    .await;
    settle().await;
    assert!(is_refused(fault).await);
    assert!(is_refused(unaware).await);
    let end = then(vec![], finish(RunStatus::Failed));
    let end = push(&journal, &held, Record { seq: 3, ..end }).await;
    assert!(answered(end, 3).await.applied);
    assert_eq!(world.tasks(held.run).await, []);
    assert_eq!(world.row(held.run).await.status, "failed");
}

#[tokio::test(start_paused = true)]
async fn what_lingered_before_the_fault_is_answered_first() {
    let world = World::in_memory();
    let held = world.held().await;
    let store = Scripted::new(world.store.clone());
    let journal = journal(&store);
    let before = push(
        &journal,
        &held,
        lazy(1, vec![completed(held.run, 0, "kept")]),
    )
    .await;
    tokio::time::sleep(Duration::from_millis(60)).await;
    let fault = push(
        &journal,
        &held,
        urgent(2, vec![completed(held.run, 1, UNSTORABLE)]),
    )
    .await;
    answered(before, 1).await;
    assert!(is_refused(fault).await);
    // Written once more, durably.
    assert_eq!(
        store.tried(),
        [(vec![1], false), (vec![1], true), (vec![1], true)]
    );
}

#[tokio::test(start_paused = true)]
async fn a_fault_in_a_cut_record_refuses_all_of_it() {
    let world = World::in_memory();
    let held = world.held().await;
    let journal = journal(&Scripted::new(world.store.clone()));
    let mut rows: Vec<_> = (0..1_200)
        .map(|index| completed(held.run, index, "done"))
        .collect();
    rows[700] = completed(held.run, 700, UNSTORABLE);
    let end = Record {
        seq: 1,
        ..then(rows, finish(RunStatus::Completed))
    };
    assert!(is_refused(push(&journal, &held, end).await).await);
    let tasks = world.tasks(held.run).await;
    assert!(
        tasks.iter().all(|task| task.0 < 700),
        "nothing after the fault"
    );
    assert_eq!(world.row(held.run).await.status, "in_progress");
}
