//! A database that is full, busy, or lost what it had not written to the disk.

use std::time::Duration;

use neena_store::{Journal, StoreError};

use super::{answered, journal, lazy, nowhere, push, settle, urgent};
use crate::db::set_page_limit;
use crate::harness::{Fault, Scripted, World, completed};

#[tokio::test(start_paused = true)]
async fn what_was_written_lazily_is_written_again_once_the_database_was_away() {
    let world = World::in_memory();
    let held = world.held().await;
    let store = Scripted::new(world.store.clone());
    let journal = journal(&store);
    let first = push(&journal, &held, lazy(1, vec![completed(held.run, 0, "a")])).await;
    tokio::time::sleep(Duration::from_millis(60)).await;
    store.then([Fault::Before(StoreError::Unknown("lost".into()))]);
    let second = push(
        &journal,
        &held,
        urgent(2, vec![completed(held.run, 1, "b")]),
    )
    .await;
    answered(first, 1).await;
    answered(second, 2).await;
    assert_eq!(
        store.tried(),
        [(vec![1], false), (vec![1], true), (vec![2], true)]
    );
}

#[tokio::test(start_paused = true)]
async fn what_was_written_lazily_is_written_again_before_more_is() {
    let world = World::in_memory();
    let held = world.held().await;
    let store = Scripted::new(world.store.clone());
    let journal = journal(&store);
    let first = push(&journal, &held, lazy(1, vec![completed(held.run, 0, "a")])).await;
    tokio::time::sleep(Duration::from_millis(60)).await;
    store.then([Fault::Before(StoreError::Unavailable("anew".into()))]);
    let second = push(&journal, &held, lazy(2, vec![completed(held.run, 1, "b")])).await;
    tokio::time::sleep(Duration::from_millis(200)).await;
    assert_eq!(
        store.tried(),
        [(vec![1], false), (vec![1], false), (vec![2], false)]
    );
    journal.close().await;
    drop((first, second));
}

#[tokio::test(start_paused = true)]
async fn a_busy_database_is_asked_again_after_some_milliseconds() {
    let world = World::in_memory();
    let held = world.held().await;
    let store = Scripted::new(world.store.clone());
    store.then((0..5).map(|_| Fault::Before(StoreError::Busy("deadlock".into()))));
    let journal = journal(&store);
    let start = tokio::time::Instant::now();
    let pending = push(
        &journal,
        &held,
        urgent(1, vec![completed(held.run, 0, "a")]),
    )
    .await;
    answered(pending, 1).await;
    let took = start.elapsed();
    assert!(
        took >= Duration::from_millis(50) && took <= Duration::from_millis(255),
        "{took:?}"
    );
}

#[tokio::test(start_paused = true)]
async fn a_full_database_is_asked_each_second_and_said_to_be_full() {
    let world = World::in_memory();
    let held = world.held().await;
    let store = Scripted::new(world.store.clone());
    store.then((0..3).map(|_| Fault::Before(StoreError::Full("no room".into()))));
    let journal = journal(&store);
    let start = tokio::time::Instant::now();
    let pending = push(
        &journal,
        &held,
        urgent(1, vec![completed(held.run, 0, "a")]),
    )
    .await;
    assert!(!journal.full());
    settle().await;
    assert!(journal.full());
    answered(pending, 1).await;
    assert!(!journal.full());
    assert_eq!(start.elapsed(), Duration::from_secs(3));
}

#[tokio::test]
async fn a_full_disk_loses_nothing_and_goes_on_when_there_is_room() {
    let world = World::on_sqlite().await;
    let held = world.held().await;
    let ready = world.ready().await;
    let worker = world.worker(Duration::from_secs(60)).await;
    let journal = Journal::start(world.store.clone(), nowhere());
    let db = world.db().unwrap().clone();
    set_page_limit(&db, 1).await;
    let large = "x".repeat(400_000);
    let pending = push(
        &journal,
        &held,
        urgent(1, vec![completed(held.run, 0, &large)]),
    )
    .await;
    let full = async {
        while !journal.full() {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    };
    tokio::time::timeout(Duration::from_secs(20), full)
        .await
        .unwrap();
    // Reads go on; nothing of the record is there.
    assert_eq!(world.tasks(held.run).await, []);
    set_page_limit(&db, 1_000_000).await;
    let verdict = tokio::time::timeout(Duration::from_secs(20), answered(pending, 1))
        .await
        .unwrap();
    assert!(verdict.held);
    assert!(!journal.full());
    assert_eq!(world.tasks(held.run).await, [(0, "completed", 1, 0)]);
    assert!(world.take_as(worker, ready).await.is_some());
}
