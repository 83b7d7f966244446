//! The end of the journal.

use neena_engine::Micros;
use neena_store::StoreError;

use super::{answered, journal, lazy, push, urgent};
use crate::harness::{Fault, Scripted, World, entry, pending, started};

#[tokio::test(start_paused = true)]
async fn closing_writes_what_is_queued() {
    let world = World::in_memory();
    let held = world.held().await;
    let store = Scripted::new(world.store.clone());
    let journal = journal(&store);
    let rows = vec![pending(held.run, 0, Micros(5))];
    let queued = push(&journal, &held, lazy(1, rows)).await;
    journal.close().await;
    answered(queued, 1).await;
    assert_eq!(store.tried(), [(vec![1], true)]);
    let late = journal.push(entry(&held, 0, urgent(2, vec![]))).await;
    assert!(matches!(late, Err(StoreError::Unavailable(_))));
    journal.close().await;
}

#[tokio::test(start_paused = true)]
async fn closing_gives_up_on_a_database_that_is_gone() {
    let world = World::in_memory();
    let held = world.held().await;
    let store = Scripted::new(world.store.clone());
    store.then((0..1_000).map(|_| Fault::Before(StoreError::Unavailable("gone".into()))));
    let journal = journal(&store);
    let lost = push(&journal, &held, urgent(1, vec![started(held.run, 0)])).await;
    journal.close().await;
    let (seq, answer) = lost.await;
    assert!(seq == 1 && matches!(answer, Err(StoreError::Unavailable(_))));
}
