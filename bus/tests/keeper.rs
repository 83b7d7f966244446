//! What happens even if nobody else is there.

use std::sync::Arc;
use std::time::Duration;

use neena_bus::{Keeper, Kept, Relay};
use neena_engine::ids::ClaimId;
use neena_engine::plan::PLAN_V;
use neena_engine::run::{Record, Then};
use neena_store::{Batch, Claim, Entry, Held, MemoryStore, Store, Which, WorkerCard};
use tokio_util::sync::CancellationToken;
use uuid::Uuid;

use crate::harness::{LEASE, Recorder, approved, counted, settle, worker};

async fn held(store: &MemoryStore, lease: Duration) -> Held {
    let run = approved(store).await[0].run;
    let card = WorkerCard {
        id: worker(1),
        name: "one".into(),
        slots: 1,
        lease,
        hosts: Default::default(),
    };
    store.join(&card).await.unwrap();
    let claim = Claim {
        worker: worker(1),
        id: ClaimId(Uuid::now_v7()),
        plan_v: PLAN_V,
        suspect: true,
    };
    store
        .claim(&claim, Which::Named(&[run]))
        .await
        .unwrap()
        .remove(0)
}

#[tokio::test(start_paused = true)]
async fn a_due_run_is_woken_and_told_of() {
    let (store, bus) = (Arc::new(MemoryStore::new()), Arc::new(Recorder::default()));
    let (outlet, relay) = Relay::start(store.clone(), bus.clone());
    let held = held(&store, LEASE).await;
    let wake_at = Some(store.now().await.unwrap().after(Duration::from_secs(2)));
    let then = Then::Park {
        wake_at,
        reason: None,
    };
    let record = Record {
        seq: 1,
        then,
        urgent: true,
        ..Record::default()
    };
    let entry = Entry {
        run: held.run,
        claim: held.claim,
        seen: held.inbox_seq,
        record,
    };
    store
        .commit(&Batch {
            entries: vec![entry],
            durable: true,
        })
        .await
        .unwrap();
    let mut keeper = Keeper::new(store.clone(), outlet, LEASE);
    assert_eq!(keeper.run_once().await.unwrap(), Kept::default());
    tokio::time::advance(Duration::from_secs(3)).await;
    assert_eq!(
        keeper.run_once().await.unwrap(),
        Kept {
            woken: 1,
            buried: 0,
            found: 0,
            lapsed: 0,
        }
    );
    relay.close().await;
    assert_eq!(
        counted(&bus.published.lock().unwrap())["flow_run.resumed"],
        1
    );
}

#[tokio::test(start_paused = true)]
async fn forgotten_messages_are_published_by_a_keeper() {
    let (store, bus) = (Arc::new(MemoryStore::new()), Arc::new(Recorder::default()));
    let (outlet, relay) = Relay::start(store.clone(), bus.clone());
    // Committed by a process that died before it could publish.
    approved(&store).await;
    let mut keeper = Keeper::new(store.clone(), outlet, LEASE);
    assert_eq!(keeper.run_once().await.unwrap().found, 0);
    tokio::time::advance(Duration::from_secs(6)).await;
    assert_eq!(keeper.run_once().await.unwrap().found, 1);
    assert_eq!(keeper.run_once().await.unwrap().found, 0);
    relay.close().await;
    assert_eq!(bus.published.lock().unwrap().len(), 1);
    assert_eq!(store.outbox(), []);
}

#[tokio::test(start_paused = true)]
async fn the_dead_are_buried_once_the_database_did_well_for_a_lease() {
    let (store, bus) = (Arc::new(MemoryStore::new()), Arc::new(Recorder::default()));
    let (outlet, relay) = Relay::start(store.clone(), bus.clone());
    held(&store, Duration::from_secs(1)).await;
    let mut keeper = Keeper::new(store.clone(), outlet, LEASE);
    tokio::time::advance(Duration::from_secs(5)).await;
    // The lease is over, but this keeper does not know the database for long enough.
    assert_eq!(keeper.run_once().await.unwrap().buried, 0);
    tokio::time::advance(Duration::from_secs(6)).await;
    assert_eq!(keeper.run_once().await.unwrap().buried, 1);
    relay.close().await;
}

#[tokio::test(start_paused = true)]
async fn a_keeper_looks_every_second_until_it_is_stopped() {
    let (store, bus) = (Arc::new(MemoryStore::new()), Arc::new(Recorder::default()));
    let (outlet, relay) = Relay::start(store.clone(), bus.clone());
    approved(&store).await;
    let stop = CancellationToken::new();
    let keeper = tokio::spawn(Keeper::new(store.clone(), outlet, LEASE).run(stop.clone()));
    tokio::time::sleep(Duration::from_secs(7)).await;
    settle().await;
    assert_eq!(bus.published.lock().unwrap().len(), 1);
    stop.cancel();
    keeper.await.unwrap();
    relay.close().await;
}

/// Parks a held run until `wait` from now.
async fn park(store: &MemoryStore, held: &Held, wait: Duration) {
    let then = Then::Park {
        wake_at: Some(store.now().await.unwrap().after(wait)),
        reason: None,
    };
    let record = Record {
        seq: 1,
        then,
        urgent: true,
        ..Record::default()
    };
    let entry = Entry {
        run: held.run,
        claim: held.claim,
        seen: held.inbox_seq,
        record,
    };
    let batch = Batch {
        entries: vec![entry],
        durable: true,
    };
    assert!(store.commit(&batch).await.unwrap()[0].applied);
}

/// How long after it was due a run is woken by a keeper that runs.
async fn lateness(apart: Option<u64>) -> Duration {
    let (store, bus) = (Arc::new(MemoryStore::new()), Arc::new(Recorder::default()));
    let (outlet, relay) = Relay::start(store.clone(), bus.clone());
    let held = held(&store, LEASE).await;
    let wait = Duration::from_millis(3_456);
    park(&store, &held, wait).await;
    let start = tokio::time::Instant::now();
    let stop = CancellationToken::new();
    let mut keeper = Keeper::new(store.clone(), outlet, LEASE);
    if let Some(chance) = apart {
        keeper = keeper.apart(chance);
    }
    let keeper = tokio::spawn(keeper.run(stop.clone()));
    while counted(&bus.published.lock().unwrap()).get("flow_run.resumed") != Some(&1) {
        tokio::time::sleep(Duration::from_millis(1)).await;
    }
    let late = start.elapsed() - wait;
    stop.cancel();
    keeper.await.unwrap();
    relay.close().await;
    late
}

#[tokio::test(start_paused = true)]
async fn a_due_run_is_woken_on_time_and_not_at_the_next_tick() {
    let late = lateness(None).await;
    assert!(late < Duration::from_millis(5), "{late:?}");
}

#[tokio::test(start_paused = true)]
async fn keepers_of_several_processes_wake_a_little_apart() {
    let mut late = Vec::new();
    for chance in 1..20 {
        late.push(lateness(Some(chance * 0x1234_5678_9abc)).await);
    }
    assert!(
        late.iter().all(|late| *late <= Duration::from_millis(55)),
        "{late:?}"
    );
    late.sort_unstable();
    late.dedup();
    assert!(late.len() > 5, "{late:?}");
}

#[tokio::test(start_paused = true)]
async fn messages_are_left_where_they_are_while_the_bus_takes_none() {
    let (store, bus) = (Arc::new(MemoryStore::new()), Arc::new(Recorder::default()));
    let (outlet, relay) = Relay::start(store.clone(), bus.clone());
    approved(&store).await;
    let mut keeper = Keeper::new(store.clone(), outlet, LEASE).over(bus.clone());
    *bus.blocked.lock().unwrap() = true;
    tokio::time::advance(Duration::from_secs(60)).await;
    assert_eq!(keeper.run_once().await.unwrap().found, 0);
    *bus.blocked.lock().unwrap() = false;
    assert_eq!(keeper.run_once().await.unwrap().found, 1);
    relay.close().await;
}

#[tokio::test(start_paused = true)]
async fn more_than_fits_into_one_call_is_done_in_one_round() {
    let (store, bus) = (Arc::new(MemoryStore::new()), Arc::new(Recorder::default()));
    let (outlet, relay) = Relay::start(store.clone(), bus.clone());
    for _ in 0..1_200 {
        approved(&store).await;
    }
    let mut keeper = Keeper::new(store.clone(), outlet, LEASE);
    tokio::time::advance(Duration::from_secs(6)).await;
    assert_eq!(keeper.run_once().await.unwrap().found, 1_200);
    relay.close().await;
    assert_eq!(bus.published.lock().unwrap().len(), 1_200);
}

#[tokio::test(start_paused = true)]
async fn a_message_that_failed_often_is_published_within_twenty_seconds_of_the_broker_being_well() {
    let (store, bus) = (Arc::new(MemoryStore::new()), Arc::new(Recorder::default()));
    let (outlet, relay) = Relay::start(store.clone(), bus.clone());
    approved(&store).await;
    let mut keeper = Keeper::new(store.clone(), outlet, LEASE);
    *bus.down.lock().unwrap() = true;
    let mut found = 0;
    for _ in 0..600 {
        tokio::time::advance(Duration::from_secs(1)).await;
        found += keeper.run_once().await.unwrap().found;
        settle().await;
    }
    assert!((29..=31).contains(&found), "tried {found} times");
    *bus.down.lock().unwrap() = false;
    tokio::time::advance(Duration::from_secs(20)).await;
    assert_eq!(keeper.run_once().await.unwrap().found, 1);
    relay.close().await;
    assert_eq!(bus.published.lock().unwrap().len(), 1);
}

#[tokio::test(start_paused = true)]
async fn nothing_is_looked_for_while_the_relay_is_behind() {
    let store = Arc::new(MemoryStore::new());
    let (outlet, mut waiting) = neena_store::outlet();
    for _ in 0..501 {
        approved(&store).await;
    }
    let mut keeper = Keeper::new(store.clone(), outlet, LEASE);
    tokio::time::advance(Duration::from_secs(6)).await;
    assert_eq!(keeper.run_once().await.unwrap().found, 501);
    tokio::time::advance(Duration::from_secs(30)).await;
    assert_eq!(keeper.run_once().await.unwrap().found, 0);
    let mut taken = Vec::new();
    waiting.recv_many(&mut taken, 2).await;
    assert_eq!(keeper.run_once().await.unwrap().found, 501);
}
