//! The journal: at once when idle, together when busy, in order, again until it is known.

mod closing;
mod outages;
mod refusals;
mod storms;

use std::sync::Arc;
use std::time::Duration;

use futures_util::FutureExt;
use neena_engine::run::{Record, RunStatus, TaskRow, Then};
use neena_store::{Held, Journal, Outlet, Pending, StoreError, Verdict, outlet};

use crate::harness::{
    Fault, Scripted, World, completed, entry, finish, hold, kinds, started, then,
};

/// A journal that hands its messages to nobody.
fn journal(store: &Arc<Scripted>) -> Journal {
    Journal::start(store.clone(), nowhere())
}

fn nowhere() -> Outlet {
    outlet().0
}

/// A record nobody waits for.
fn lazy(seq: u64, rows: Vec<TaskRow>) -> Record {
    Record {
        seq,
        urgent: false,
        ..hold(rows)
    }
}

fn urgent(seq: u64, rows: Vec<TaskRow>) -> Record {
    Record { seq, ..hold(rows) }
}

async fn push(journal: &Journal, held: &Held, record: Record) -> Pending {
    journal
        .push(entry(held, held.inbox_seq, record))
        .await
        .unwrap()
}

async fn answered(pending: Pending, seq: u64) -> Verdict {
    let (number, verdict) = pending.await;
    assert_eq!(number, seq);
    verdict.unwrap()
}

/// Lets every task run until it waits for time to pass.
async fn settle() {
    for _ in 0..100 {
        tokio::task::yield_now().await;
    }
}

#[tokio::test(start_paused = true)]
async fn an_urgent_record_is_written_at_once() {
    let world = World::in_memory();
    let held = world.held().await;
    let journal = journal(&Scripted::new(world.store.clone()));
    let before = tokio::time::Instant::now();
    let pending = push(
        &journal,
        &held,
        urgent(1, vec![completed(held.run, 0, "done")]),
    )
    .await;
    let verdict = answered(pending, 1).await;
    assert!(verdict.held && verdict.applied);
    assert_eq!(before.elapsed(), Duration::ZERO);
    assert_eq!(world.tasks(held.run).await, [(0, "completed", 1, 0)]);
}

#[tokio::test(start_paused = true)]
async fn what_comes_while_a_batch_is_written_is_written_together() {
    let world = World::in_memory();
    let store = Scripted::shut(world.store.clone());
    let journal = journal(&store);
    let mut pending = Vec::new();
    for _ in 0..10 {
        let held = world.held().await;
        pending.push(push(&journal, &held, urgent(1, vec![started(held.run, 0)])).await);
        settle().await;
    }
    store.open(2);
    for pending in pending {
        answered(pending, 1).await;
    }
    assert_eq!(store.tried(), [(vec![1], true), (vec![1; 9], true)]);
}

#[tokio::test(start_paused = true)]
async fn what_nobody_waits_for_lingers_and_is_answered_when_it_is_durable() {
    let world = World::in_memory();
    let held = world.held().await;
    let store = Scripted::new(world.store.clone());
    let journal = journal(&store);
    let mut first = push(
        &journal,
        &held,
        lazy(1, vec![completed(held.run, 0, "one")]),
    )
    .await;
    tokio::time::sleep(Duration::from_millis(49)).await;
    assert_eq!(store.tried(), []);
    tokio::time::sleep(Duration::from_millis(2)).await;
    assert_eq!(store.tried(), [(vec![1], false)]);
    assert_eq!(world.tasks(held.run).await.len(), 1);
    assert!((&mut first).now_or_never().is_none());
    let second = push(
        &journal,
        &held,
        urgent(2, vec![completed(held.run, 1, "two")]),
    )
    .await;
    answered(first, 1).await;
    answered(second, 2).await;
    assert_eq!(store.tried(), [(vec![1], false), (vec![1], true)]);
}

#[tokio::test(start_paused = true)]
async fn what_nobody_waits_for_rides_along() {
    let world = World::in_memory();
    let (one, two) = (world.held().await, world.held().await);
    let store = Scripted::new(world.store.clone());
    let journal = journal(&store);
    let mut lazily = push(&journal, &one, lazy(1, vec![completed(one.run, 0, "one")])).await;
    let urgently = push(
        &journal,
        &two,
        urgent(1, vec![completed(two.run, 0, "two")]),
    )
    .await;
    answered(urgently, 1).await;
    settle().await;
    assert!(matches!((&mut lazily).now_or_never(), Some((1, Ok(_)))));
    assert_eq!(store.tried(), [(vec![1, 1], true)]);
}

#[tokio::test(start_paused = true)]
async fn the_records_of_a_run_are_one_entry_in_order() {
    let world = World::in_memory();
    let held = world.held().await;
    let run = held.run;
    let store = Scripted::new(world.store.clone());
    let journal = journal(&store);
    let records = [
        lazy(1, vec![started(run, 0), started(run, 1)]),
        lazy(2, vec![completed(run, 0, "zero"), started(run, 2)]),
        urgent(3, vec![completed(run, 1, "one")]),
    ];
    let mut pending = Vec::new();
    for record in records {
        pending.push(push(&journal, &held, record).await);
    }
    for (seq, pending) in (1..).zip(pending) {
        assert!(answered(pending, seq).await.applied);
    }
    assert_eq!(store.tried(), [(vec![3], true)]);
    let rows = world.store.load(run).await.unwrap().rows;
    assert_eq!(
        rows,
        [
            completed(run, 0, "zero"),
            completed(run, 1, "one"),
            started(run, 2)
        ]
    );
}

#[tokio::test]
async fn a_thousand_pure_results_and_the_end_cost_one_durable_commit() {
    let world = World::on_sqlite().await;
    let held = world.held().await;
    let journal = Journal::start(world.store.clone(), nowhere());
    let before = world.db().unwrap().commits();
    let mut pending = Vec::new();
    for seq in 1..=1_000 {
        let rows = vec![completed(held.run, seq - 1, "done")];
        pending.push(push(&journal, &held, lazy(seq.into(), rows)).await);
    }
    let end = Record {
        seq: 1_001,
        ..then(vec![], finish(RunStatus::Completed))
    };
    pending.push(push(&journal, &held, end).await);
    for (seq, pending) in (1..).zip(pending) {
        assert!(answered(pending, seq).await.applied);
    }
    let after = world.db().unwrap().commits();
    assert_eq!(after.durable - before.durable, 1);
    assert!(after.lazy - before.lazy <= 4, "{after:?}");
    assert_eq!(world.tasks(held.run).await.len(), 1_000);
    assert_eq!(world.row(held.run).await.status, "completed");
}

#[tokio::test(start_paused = true)]
async fn a_large_record_is_cut_and_leaves_room_for_others() {
    let world = World::in_memory();
    let (wide, narrow) = (world.held().await, world.held().await);
    let store = Scripted::shut(world.store.clone());
    let journal = journal(&store);
    let rows = (0..1_000)
        .map(|index| completed(wide.run, index, "done"))
        .collect();
    let end = Record {
        seq: 1,
        ..then(rows, finish(RunStatus::Completed))
    };
    let first = push(&journal, &narrow, urgent(1, vec![started(narrow.run, 0)])).await;
    settle().await;
    let last = push(&journal, &wide, end).await;
    let second = push(&journal, &narrow, urgent(2, vec![started(narrow.run, 1)])).await;
    store.open(100);
    answered(first, 1).await;
    answered(second, 2).await;
    assert!(answered(last, 1).await.applied);
    assert_eq!(world.tasks(wide.run).await.len(), 1_000);
    let tried = store.tried();
    assert_eq!(tried[..2], [(vec![1], true), (vec![256, 1], true)]);
    let rest: usize = tried[2..]
        .iter()
        .map(|(rows, _)| rows.iter().sum::<usize>())
        .sum();
    assert_eq!(rest, 744);
    // Only the one that ends the run waits for the disk.
    assert_eq!(
        tried[2..].iter().filter(|(_, durable)| *durable).count(),
        1,
        "{tried:?}"
    );
}

#[tokio::test(start_paused = true)]
async fn a_batch_is_sent_again_until_it_is_known() {
    let world = World::in_memory();
    let held = world.held().await;
    let store = Scripted::new(world.store.clone());
    let (down, lost) = ("down".to_owned(), "lost".to_owned());
    store.then([
        Fault::Before(StoreError::Unavailable(down.clone())),
        Fault::After(StoreError::Unknown(lost.clone())),
        Fault::Before(StoreError::Full(down)),
        Fault::Before(StoreError::Unknown(lost)),
    ]);
    let journal = journal(&store);
    let pending = push(
        &journal,
        &held,
        urgent(1, vec![completed(held.run, 0, "once")]),
    )
    .await;
    settle().await;
    let later = push(
        &journal,
        &held,
        urgent(2, vec![completed(held.run, 1, "after")]),
    )
    .await;
    assert!(answered(pending, 1).await.held);
    assert!(answered(later, 2).await.held);
    // Nothing else is sent before.
    assert_eq!(store.tried(), vec![(vec![1], true); 6]);
    let rows = world.store.load(held.run).await.unwrap().rows;
    assert_eq!(
        rows,
        [
            completed(held.run, 0, "once"),
            completed(held.run, 1, "after")
        ]
    );
}

#[tokio::test(start_paused = true)]
async fn whatever_is_queued_under_a_lost_claim_is_fenced() {
    let world = World::in_memory();
    let held = world.held().await;
    let store = Scripted::shut(world.store.clone());
    let journal = journal(&store);
    let lazily = push(
        &journal,
        &held,
        lazy(1, vec![completed(held.run, 0, "kept")]),
    )
    .await;
    store.open(1);
    tokio::time::sleep(Duration::from_millis(60)).await;
    let stale = push(
        &journal,
        &held,
        urgent(2, vec![completed(held.run, 1, "lost")]),
    )
    .await;
    settle().await;
    let queued = push(
        &journal,
        &held,
        urgent(3, vec![completed(held.run, 2, "lost")]),
    )
    .await;
    world.store.bury_all().await.unwrap();
    let owner = world.take(held.run).await.unwrap();
    store.open(100);
    for (seq, pending) in [(1, lazily), (2, stale), (3, queued)] {
        assert!(!answered(pending, seq).await.held);
    }
    assert_eq!(world.tasks(held.run).await, [(0, "completed", 1, 0)]);
    // The new owner, in the same process, is not touched by it.
    let fresh = push(
        &journal,
        &owner,
        urgent(1, vec![completed(held.run, 1, "new")]),
    )
    .await;
    assert!(answered(fresh, 1).await.held);
}

#[tokio::test(start_paused = true)]
async fn a_park_that_was_refused_is_said_to_be() {
    let world = World::in_memory();
    let held = world.held().await;
    let journal = journal(&Scripted::new(world.store.clone()));
    let first = push(
        &journal,
        &held,
        lazy(1, vec![completed(held.run, 0, "one")]),
    )
    .await;
    let park = Record {
        seq: 2,
        ..then(
            vec![],
            Then::Park {
                wake_at: None,
                reason: None,
            },
        )
    };
    let park = journal
        .push(entry(&held, held.inbox_seq + 1, park))
        .await
        .unwrap();
    let later = push(
        &journal,
        &held,
        urgent(3, vec![completed(held.run, 1, "two")]),
    )
    .await;
    assert!(answered(first, 1).await.applied);
    assert!(!answered(park, 2).await.applied);
    assert!(answered(later, 3).await.applied);
}

#[tokio::test(start_paused = true)]
async fn messages_go_to_the_outlet_after_the_commit() {
    let world = World::in_memory();
    let held = world.held().await;
    let store = Scripted::new(world.store.clone());
    store.then([Fault::Before(StoreError::Unavailable("down".into()))]);
    let (outlet, mut messages) = outlet();
    let journal = Journal::start(store, outlet);
    let end = then(vec![], finish(RunStatus::Failed));
    let pending = push(&journal, &held, Record { seq: 1, ..end }).await;
    assert!(messages.try_recv().is_err());
    let verdict = answered(pending, 1).await;
    assert!(verdict.outbox.is_empty());
    assert_eq!(
        kinds(&[messages.recv().await.unwrap()]),
        ["flow_run.failed"]
    );
    assert!(messages.try_recv().is_err());
}

#[tokio::test(start_paused = true)]
async fn pushing_waits_while_too_much_is_queued() {
    let world = World::in_memory();
    let held = world.held().await;
    let store = Scripted::shut(world.store.clone());
    let journal = journal(&store);
    // The first is being written; 20,000 rows are queued behind it.
    let mut pending = vec![push(&journal, &held, urgent(1, vec![])).await];
    settle().await;
    for seq in 2..=41 {
        let rows = (0..500)
            .map(|index| completed(held.run, index, "done"))
            .collect();
        pending.push(push(&journal, &held, urgent(seq, rows)).await);
    }
    let next = entry(&held, held.inbox_seq, urgent(42, vec![]));
    let mut waiting = Box::pin(journal.push(next));
    settle().await;
    assert!((&mut waiting).now_or_never().is_none());
    store.open(1_000);
    pending.push(waiting.await.unwrap());
    for (seq, pending) in (1..).zip(pending) {
        answered(pending, seq).await;
    }
}
