//! The bus by a broker that restarts, cuts connections, hangs, swallows confirms or takes nothing.

use std::collections::HashSet;
use std::sync::atomic::Ordering;
use std::time::Duration;

use neena_bus::remote::{Beat, Reply, Sent, Settled};
use neena_bus::{Bus, RabbitConfig, Standing};
use neena_store::Message;
use tokio::time::Instant;
use uuid::Uuid;

use crate::harness::{message, worker};
use crate::place::{Broker, Place, broker, config, eventually, nothing, queue, soon, task};
use crate::proxy::Proxy;

fn beat(number: u128) -> Reply {
    Reply::Beat(Beat {
        dispatches: vec![Uuid::from_u128(number)],
        integration: "resize".to_owned(),
        executor: "two".to_owned(),
    })
}

#[tokio::test]
async fn everything_goes_on_after_a_restart_of_the_broker() {
    let Some(broker) = Broker::start().await else {
        return;
    };
    let place = Place::at(&broker.url).await;
    let resize = [queue("resize")];
    let mut inbox = place.bus.consume(worker(1)).await.unwrap();
    let mut pokes = place.bus.pokes(worker(1)).await;
    let mut tasks = place.tasks.tasks(worker(1), &resize, 2).await.unwrap();
    let mut replies = place.tasks.replies(worker(1)).await.unwrap();
    let address = place.tasks.reply_queue(worker(1));
    // Taken before, and not acknowledged.
    place
        .bus
        .publish(&[message(Message::APPROVED, 1)])
        .await
        .unwrap();
    place
        .tasks
        .offer(&resize[0], &task("resize", 1))
        .await
        .unwrap();
    let held = soon(inbox.wakes(1)).await;
    let lost = soon(tasks.next()).await;
    broker.servers(&["stop", "rabbitmq"]).await;
    place.stands(Standing::Down(String::new())).await;
    let asked = Instant::now();
    let messages = [message(Message::APPROVED, 2)];
    assert!(place.bus.publish(&messages).await.is_err());
    assert!(place.tasks.answer(&address, &beat(1)).await.is_err());
    assert!(asked.elapsed() < Duration::from_secs(1), "it fails at once");
    // Acknowledged in vain: the broker delivers them again.
    inbox.ack(held).await;
    lost.settling.settle(Settled::Done);
    assert!(nothing(inbox.wakes(1)).await);
    broker.servers(&["start", "rabbitmq"]).await;
    let back = Instant::now();
    place.stands(Standing::Up).await;
    assert!(
        back.elapsed() < Duration::from_secs(10),
        "{:?}",
        back.elapsed()
    );
    let wakes = soon(inbox.wakes(1)).await;
    assert_eq!(wakes[0].run, message("", 1).run);
    inbox.ack(wakes).await;
    let again = soon(tasks.next()).await;
    assert!(again.redelivered);
    again.settling.settle(Settled::Done);
    assert_eq!(
        place.tasks.answer(&address, &beat(2)).await.unwrap(),
        Sent::Taken
    );
    let Some(Reply::Beat(got)) = soon(replies.recv()).await else {
        panic!("something else came");
    };
    assert_eq!(got.dispatches, [Uuid::from_u128(2)]);
    place.bus.publish(&messages).await.unwrap();
    let wakes = soon(inbox.wakes(1)).await;
    assert_eq!(wakes[0].run, message("", 2).run);
    inbox.ack(wakes).await;
    eventually("a poke arrives", async || {
        place.bus.poke(worker(1), message("", 7).run).await;
        !nothing(pokes.recv()).await
    })
    .await;
    place.bus.close().await;
}

#[tokio::test]
async fn nothing_is_lost_when_connections_and_channels_are_cut_again_and_again() {
    let Some(broker) = Broker::start().await else {
        return;
    };
    let place = Place::at(&broker.url).await;
    let mut inbox = place.bus.consume(worker(1)).await.unwrap();
    let publisher = place.bus.clone();
    let publishing = tokio::spawn(async move {
        for number in 0..1_000 {
            let messages = [message(Message::APPROVED, number)];
            // As the outbox does: until it is taken.
            while publisher
                .publish(&messages)
                .await
                .map_or(0, |taken| taken.len())
                == 0
            {
                tokio::time::sleep(Duration::from_millis(10)).await;
            }
        }
    });
    let mut seen = HashSet::new();
    let cut = async {
        for round in 0..10 {
            match round % 2 {
                0 => broker.ctl(&["close_all_connections", "cut"]).await,
                // The broker loses the channels, and says that it does.
                _ => {
                    let kill = "[exit(C, cut) || C <- rabbit_channel:list()].";
                    broker.ctl(&["eval", kill]).await
                }
            };
            tokio::time::sleep(Duration::from_millis(500)).await;
        }
    };
    let take = async {
        while seen.len() < 1_000 {
            let wakes = soon(inbox.wakes(64)).await;
            seen.extend(wakes.iter().map(|wake| wake.run));
            inbox.ack(wakes).await;
        }
    };
    tokio::join!(cut, take);
    soon(publishing).await.unwrap();
    place.stands(Standing::Up).await;
    place.bus.close().await;
}

#[tokio::test]
async fn a_broker_that_takes_nothing_stops_publishing_only() {
    let Some(broker) = Broker::start().await else {
        return;
    };
    let config = RabbitConfig {
        heartbeat: Duration::from_secs(1),
        ..config(&broker.url)
    };
    let place = Place::with(config, &broker.url).await;
    let mut inbox = place.bus.consume(worker(1)).await.unwrap();
    let before: Vec<Message> = (0..10).map(|n| message(Message::APPROVED, n)).collect();
    place.bus.publish(&before).await.unwrap();
    broker.ctl(&["set_vm_memory_high_watermark", "0"]).await;
    let after = [message(Message::APPROVED, 11)];
    // The broker says so when something is published.
    let asked = Instant::now();
    assert!(place.bus.publish(&after).await.is_err());
    assert!(
        asked.elapsed() < Duration::from_secs(4),
        "{:?}",
        asked.elapsed()
    );
    place.stands(Standing::Blocked(String::new())).await;
    let asked = Instant::now();
    assert!(place.bus.publish(&after).await.is_err());
    assert!(asked.elapsed() < Duration::from_millis(100));
    let mut got = 0;
    while got < 10 {
        let wakes = soon(inbox.wakes(64)).await;
        got += wakes.len();
        inbox.ack(wakes).await;
    }
    // Longer than both sides wait for signs of life.
    tokio::time::sleep(Duration::from_secs(5)).await;
    assert!(matches!(place.bus.standing(), Standing::Blocked(_)));
    broker.ctl(&["set_vm_memory_high_watermark", "0.6"]).await;
    place.stands(Standing::Up).await;
    assert_eq!(place.bus.publish(&after).await.unwrap().len(), 1);
    let wakes = soon(inbox.wakes(1)).await;
    assert_eq!(wakes[0].run, message("", 11).run);
    place.bus.close().await;
}

#[tokio::test]
async fn confirms_that_never_come_lose_nothing() {
    let Some(url) = broker() else { return };
    let proxy = Proxy::before(&url).await;
    let config = RabbitConfig {
        confirm: Duration::from_millis(300),
        ..config(&proxy.url)
    };
    let place = Place::with(config, &url).await;
    proxy.losses.confirms.store(10, Ordering::Relaxed);
    let mut waiting: Vec<Message> = (0..2_000).map(|n| message(Message::APPROVED, n)).collect();
    let until = Instant::now() + Duration::from_secs(120);
    while !waiting.is_empty() {
        assert!(Instant::now() < until, "{} are stuck", waiting.len());
        let batch = &waiting[..waiting.len().min(20)];
        match place.bus.publish(batch).await {
            Ok(taken) => waiting.retain(|message| !taken.contains(&message.id)),
            Err(_) => tokio::time::sleep(Duration::from_millis(20)).await,
        }
    }
    let lost = proxy.losses.lost.load(Ordering::Relaxed);
    assert!(lost > 0, "the proxy lost nothing");
    let mut inbox = place.bus.consume(worker(1)).await.unwrap();
    let mut seen = HashSet::new();
    proxy.losses.confirms.store(0, Ordering::Relaxed);
    while seen.len() < 2_000 {
        let wakes = soon(inbox.wakes(64)).await;
        seen.extend(wakes.iter().map(|wake| wake.run));
        inbox.ack(wakes).await;
    }
    place.clean().await;
}

#[tokio::test]
async fn a_connection_that_hangs_is_given_up() {
    let Some(url) = broker() else { return };
    let proxy = Proxy::before(&url).await;
    let place = Place::with(config(&proxy.url), &url).await;
    let mut inbox = place.bus.consume(worker(1)).await.unwrap();
    assert!(nothing(inbox.wakes(1)).await);
    proxy.losses.all.store(true, Ordering::Relaxed);
    let hung = Instant::now();
    place.stands(Standing::Down(String::new())).await;
    assert!(
        hung.elapsed() < Duration::from_secs(13),
        "{:?}",
        hung.elapsed()
    );
    let before = proxy.losses.connections.load(Ordering::Relaxed);
    proxy.losses.all.store(false, Ordering::Relaxed);
    place.stands(Standing::Up).await;
    assert!(proxy.losses.connections.load(Ordering::Relaxed) >= before);
    place
        .bus
        .publish(&[message(Message::APPROVED, 1)])
        .await
        .unwrap();
    assert_eq!(soon(inbox.wakes(1)).await.len(), 1);
    place.clean().await;
}
