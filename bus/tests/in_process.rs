//! The bus of one process.

use std::collections::HashSet;

use futures_util::FutureExt;
use neena_bus::{Bus, InProcess, Wake};
use neena_store::Message;

use crate::harness::{message, settle, worker};

#[tokio::test]
async fn a_wake_up_reaches_one_of_the_workers() {
    let bus = InProcess::new();
    let mut one = bus.consume(worker(1)).await.unwrap();
    let mut two = bus.consume(worker(2)).await.unwrap();
    let messages: Vec<Message> = (0..10).map(|n| message(Message::APPROVED, n)).collect();
    let taken = bus.publish(&messages).await.unwrap();
    assert_eq!(taken.len(), 10);
    let mut wakes = one.wakes(4).await;
    assert_eq!(wakes.len(), 4);
    wakes.extend(two.wakes(100).await);
    let runs: HashSet<_> = wakes.iter().map(|wake| wake.run).collect();
    assert_eq!((wakes.len(), runs.len()), (10, 10));
    one.ack(wakes).await;
    assert!(one.wakes(1).now_or_never().is_none());
}

#[tokio::test]
async fn what_wakes_nobody_is_taken_and_done() {
    let bus = InProcess::new();
    let mut inbox = bus.consume(worker(1)).await.unwrap();
    let taken = bus
        .publish(&[message("flow_run.completed", 1)])
        .await
        .unwrap();
    assert_eq!(taken.len(), 1);
    assert!(inbox.wakes(1).now_or_never().is_none());
}

#[tokio::test]
async fn a_waiting_worker_is_woken_even_if_another_one_stopped_waiting() {
    let bus = InProcess::new();
    let mut one = bus.consume(worker(1)).await.unwrap();
    let mut two = bus.consume(worker(2)).await.unwrap();
    let mut first = Box::pin(one.wakes(1));
    let mut second = Box::pin(two.wakes(1));
    assert!(futures_util::poll!(&mut first).is_pending());
    assert!(futures_util::poll!(&mut second).is_pending());
    bus.publish(&[message(Message::APPROVED, 1)]).await.unwrap();
    // The first was told, and is dropped before it looks.
    drop(first);
    assert_eq!(second.await.len(), 1);
}

#[tokio::test]
async fn every_waiting_worker_gets_its_share() {
    let bus = InProcess::new();
    let tasks: Vec<_> = (0..4)
        .map(|n| {
            let bus = bus.clone();
            tokio::spawn(async move { bus.consume(worker(n)).await.unwrap().wakes(1).await })
        })
        .collect();
    settle().await;
    let messages: Vec<Message> = (0..4).map(|n| message(Message::RESUMED, n)).collect();
    bus.publish(&messages).await.unwrap();
    for task in tasks {
        assert_eq!(task.await.unwrap().len(), 1);
    }
}

#[tokio::test]
async fn what_is_released_comes_first_again() {
    let bus = InProcess::new();
    let mut inbox = bus.consume(worker(1)).await.unwrap();
    let messages: Vec<Message> = (0..3).map(|n| message(Message::APPROVED, n)).collect();
    bus.publish(&messages).await.unwrap();
    let wakes: Vec<Wake> = inbox.wakes(2).await;
    inbox.release(wakes.clone()).await;
    assert_eq!(inbox.wakes(2).await, wakes);
}

#[tokio::test]
async fn what_finds_no_room_is_not_confirmed() {
    let bus = InProcess::new();
    let messages: Vec<Message> = (0..10_001).map(|n| message(Message::APPROVED, n)).collect();
    assert_eq!(bus.publish(&messages).await.unwrap().len(), 10_000);
    let announcement = message("flow_run.failed", 1);
    assert_eq!(bus.publish(&[announcement]).await.unwrap().len(), 1);
}

#[tokio::test]
async fn a_poke_reaches_its_worker_only() {
    let bus = InProcess::new();
    let mut one = bus.pokes(worker(1)).await;
    let mut two = bus.pokes(worker(2)).await;
    let run = message("", 7).run;
    bus.poke(worker(1), run).await;
    bus.poke(worker(3), run).await;
    assert_eq!(one.recv().await, Some(run));
    assert!(two.try_recv().is_err());
    drop(one);
    bus.poke(worker(1), run).await;
    bus.poke(worker(1), run).await;
}

#[tokio::test]
async fn pokes_that_find_no_room_are_dropped() {
    let bus = InProcess::new();
    let mut pokes = bus.pokes(worker(1)).await;
    for n in 0..5_000 {
        bus.poke(worker(1), message("", n).run).await;
    }
    let mut got = 0;
    while pokes.try_recv().is_ok() {
        got += 1;
    }
    assert_eq!(got, 1_024);
}
