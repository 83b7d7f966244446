//! From commit to broker.

use std::sync::Arc;
use std::time::Duration;

use neena_bus::Relay;
use neena_store::{MemoryStore, Store};

use crate::harness::{Recorder, approved, settle};

#[tokio::test(start_paused = true)]
async fn what_is_handed_over_is_published_and_then_deleted() {
    let (store, bus) = (Arc::new(MemoryStore::new()), Arc::new(Recorder::default()));
    let (outlet, relay) = Relay::start(store.clone(), bus.clone());
    let messages = approved(&store).await;
    outlet.hand(messages.clone());
    settle().await;
    assert_eq!(*bus.published.lock().unwrap(), messages);
    // Nobody waits for the deletion.
    assert_eq!(store.outbox(), messages);
    tokio::time::sleep(Duration::from_millis(60)).await;
    assert_eq!(store.outbox(), []);
    relay.close().await;
}

#[tokio::test(start_paused = true)]
async fn messages_that_wait_together_are_published_together() {
    let (store, bus) = (Arc::new(MemoryStore::new()), Arc::new(Recorder::default()));
    let (outlet, relay) = Relay::start(store.clone(), bus.clone());
    for _ in 0..700 {
        let messages = approved(&store).await;
        outlet.hand(messages);
    }
    settle().await;
    relay.close().await;
    assert_eq!(bus.published.lock().unwrap().len(), 700);
    assert!(bus.calls.lock().unwrap().len() < 100);
    assert_eq!(store.outbox(), []);
}

#[tokio::test(start_paused = true)]
async fn what_the_broker_does_not_take_stays_in_the_outbox() {
    let (store, bus) = (Arc::new(MemoryStore::new()), Arc::new(Recorder::default()));
    let (outlet, relay) = Relay::start(store.clone(), bus.clone());
    *bus.down.lock().unwrap() = true;
    let lost = approved(&store).await;
    outlet.hand(lost.clone());
    settle().await;
    *bus.down.lock().unwrap() = false;
    *bus.unroutable.lock().unwrap() = Some("flow_run.approved".into());
    let unroutable = approved(&store).await;
    outlet.hand(unroutable.clone());
    relay.close().await;
    assert_eq!(store.outbox(), [lost, unroutable].concat());
    assert!(bus.published.lock().unwrap().is_empty());
}

#[tokio::test(start_paused = true)]
async fn closing_publishes_what_was_handed_over() {
    let (store, bus) = (Arc::new(MemoryStore::new()), Arc::new(Recorder::default()));
    let (outlet, relay) = Relay::start(store.clone(), bus.clone());
    outlet.hand(approved(&store).await);
    relay.close().await;
    assert_eq!(bus.published.lock().unwrap().len(), 1);
    assert_eq!(store.outbox(), []);
    // What comes later waits for the next process.
    outlet.hand(approved(&store).await);
    assert_eq!(store.outbox().len(), 1);
    tokio::time::advance(Duration::from_secs(6)).await;
    assert_eq!(store.outbox_take(10).await.unwrap().len(), 1);
}
