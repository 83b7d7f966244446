//! The bus by a broker that works.

use std::collections::HashSet;
use std::time::Duration;

use futures_util::FutureExt;
use lapin::BasicProperties;
use lapin::options::{QueueDeleteOptions, QueuePurgeOptions};
use lapin::types::{AMQPValue, FieldTable};
use neena_bus::remote::{Beat, Reply};
use neena_bus::{Bus, CloudEvent, Rabbit, RabbitConfig, Standing};
use neena_store::Message;

use crate::harness::{message, worker};
use crate::place::{Place, Raw, broker, config, eventually, nothing, queue, soon, task};

fn event(message: &Message) -> Vec<u8> {
    serde_json::to_vec(&CloudEvent::from(message)).unwrap()
}

#[tokio::test]
async fn a_configuration_that_can_never_work_is_refused() {
    let bad = [
        RabbitConfig::new("http://localhost"),
        RabbitConfig::new("amqp://user:secret@[::1/%2f"),
        RabbitConfig {
            prefix: "a b".to_owned(),
            ..RabbitConfig::new("amqp://localhost")
        },
        RabbitConfig {
            master_key: Some("short".to_owned()),
            ..RabbitConfig::new("amqp://localhost")
        },
    ];
    for config in bad {
        let error = Rabbit::start(config).unwrap_err().to_string();
        assert!(!error.contains("secret"), "{error}");
    }
}

#[tokio::test]
async fn a_broker_that_is_away_is_no_error_of_ours() {
    // Nobody listens on a port that was free a moment ago.
    let port = {
        let free = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
        free.local_addr().unwrap().port()
    };
    let bus = Rabbit::start(config(&format!("amqp://127.0.0.1:{port}"))).unwrap();
    assert!(matches!(bus.standing(), Standing::Down(_)));
    let mut inbox = bus.consume(worker(1)).await.unwrap();
    let mut pokes = bus.pokes(worker(1)).await;
    assert!(nothing(inbox.wakes(1)).await);
    assert!(nothing(pokes.recv()).await);
    let messages = [message(Message::APPROVED, 1)];
    assert!(soon(bus.publish(&messages)).await.is_err());
    soon(bus.close()).await;
    assert_eq!(soon(pokes.recv()).await, None);
}

#[tokio::test]
async fn without_a_master_key_no_tasks_travel() {
    let bus = Rabbit::start(RabbitConfig::new("amqp://127.0.0.1:1")).unwrap();
    assert!(bus.tasks_bus().is_none());
}

#[tokio::test]
async fn thousands_of_messages_are_taken_in_batches() {
    let Some(place) = Place::make().await else {
        return;
    };
    let messages: Vec<Message> = (0..2_000).map(|n| message(Message::APPROVED, n)).collect();
    for batch in messages.chunks(500) {
        assert_eq!(place.bus.publish(batch).await.unwrap().len(), 500);
    }
    place.raw.counts("runs", 2_000).await;
    place.clean().await;
}

#[tokio::test]
async fn a_wake_up_that_finds_no_queue_is_not_taken_until_the_queue_is_there_again() {
    let Some(place) = Place::make().await else {
        return;
    };
    // The first publish declares, too.
    let warm = [message("flow_run.completed", 9)];
    place.bus.publish(&warm).await.unwrap();
    let channel = place.raw.channel().await;
    let options = QueueDeleteOptions::default();
    let runs = place.raw.name("runs");
    channel.queue_delete(runs.into(), options).await.unwrap();
    let messages = [
        message(Message::APPROVED, 1),
        message("flow_run.completed", 2),
        message(Message::RESUMED, 3),
    ];
    // What no queue need take is taken; a neighbour's confirm carries what was returned.
    let taken = place.bus.publish(&messages).await.unwrap();
    assert_eq!(taken, [messages[1].id]);
    assert_eq!(place.bus.publish(&messages).await.unwrap().len(), 3);
    place.raw.counts("runs", 2).await;
    place.clean().await;
}

#[tokio::test]
async fn a_binding_that_was_taken_away_is_made_again() {
    let Some(place) = Place::make().await else {
        return;
    };
    // The first publish declares, too.
    let warm = [message("flow_run.completed", 9)];
    place.bus.publish(&warm).await.unwrap();
    let channel = place.raw.channel().await;
    for round in 0..10 {
        let (runs, events) = (place.raw.name("runs"), place.raw.name("events"));
        let key = Message::APPROVED.into();
        channel
            .queue_unbind(runs.into(), events.into(), key, FieldTable::default())
            .await
            .unwrap();
        let messages: Vec<Message> = (0..50)
            .map(|n| message(Message::APPROVED, round * 50 + n))
            .collect();
        assert!(place.bus.publish(&messages).await.unwrap().is_empty());
        assert_eq!(place.bus.publish(&messages).await.unwrap().len(), 50);
    }
    place.raw.counts("runs", 500).await;
    place.clean().await;
}

#[tokio::test]
async fn an_exchange_that_was_deleted_is_made_again() {
    let Some(place) = Place::make().await else {
        return;
    };
    let messages = [message(Message::APPROVED, 1)];
    place.bus.publish(&messages).await.unwrap();
    let channel = place.raw.channel().await;
    let events = place.raw.name("events");
    channel
        .exchange_delete(events.into(), Default::default())
        .await
        .unwrap();
    // The broker closes the channel; the next one declares.
    eventually("it is published again", async || {
        place
            .bus
            .publish(&messages)
            .await
            .is_ok_and(|taken| taken.len() == 1)
    })
    .await;
    place.clean().await;
}

#[tokio::test]
async fn a_queue_that_is_purged_or_deleted_stops_nobody() {
    let Some(place) = Place::make().await else {
        return;
    };
    let mut inbox = place.bus.consume(worker(1)).await.unwrap();
    assert!(nothing(inbox.wakes(1)).await);
    let channel = place.raw.channel().await;
    let runs = place.raw.name("runs");
    channel
        .queue_purge(runs.clone().into(), QueuePurgeOptions::default())
        .await
        .unwrap();
    place
        .bus
        .publish(&[message(Message::APPROVED, 1)])
        .await
        .unwrap();
    let wakes = soon(inbox.wakes(1)).await;
    inbox.ack(wakes).await;
    // The consumer is cancelled with its queue, and both are made anew.
    let waiting = tokio::spawn(async move { (inbox.wakes(1).await, inbox) });
    channel
        .queue_delete(runs.into(), QueueDeleteOptions::default())
        .await
        .unwrap();
    eventually("a wake-up is taken", async || {
        let messages = [message(Message::APPROVED, 2)];
        place
            .bus
            .publish(&messages)
            .await
            .is_ok_and(|taken| taken.len() == 1)
    })
    .await;
    let (wakes, _inbox) = soon(waiting).await.unwrap();
    assert_eq!(wakes[0].run, message("", 2).run);
    place.clean().await;
}

#[tokio::test]
async fn a_message_that_comes_twice_is_acknowledged_twice() {
    let Some(place) = Place::make().await else {
        return;
    };
    let twice = message(Message::APPROVED, 1);
    place
        .bus
        .publish(&[twice.clone(), twice.clone()])
        .await
        .unwrap();
    place
        .bus
        .publish(std::slice::from_ref(&twice))
        .await
        .unwrap();
    let mut inbox = place.bus.consume(worker(1)).await.unwrap();
    let mut wakes = Vec::new();
    while wakes.len() < 3 {
        wakes.extend(soon(inbox.wakes(10)).await);
    }
    assert!(wakes.iter().all(|wake| wake.id == twice.id));
    inbox.ack(wakes).await;
    drop(inbox);
    place.raw.counts("runs", 0).await;
    place.clean().await;
}

#[tokio::test]
async fn a_worker_that_asks_no_more_gives_back_what_it_was_not_given() {
    let Some(place) = Place::make().await else {
        return;
    };
    let messages: Vec<Message> = (0..50).map(|n| message(Message::APPROVED, n)).collect();
    place.bus.publish(&messages).await.unwrap();
    let mut full = place.bus.consume(worker(1)).await.unwrap();
    // A slot for five, then for none.
    let mut kept = Vec::new();
    while kept.len() < 5 {
        kept.extend(soon(full.wakes(64)).now_or_never().unwrap_or_default());
        if kept.len() < 5 {
            kept.extend(soon(full.wakes(5 - kept.len())).await);
        }
    }
    place.raw.counts("runs", 50 - kept.len() as u32).await;
    let mut seen: HashSet<_> = kept.iter().map(|wake| wake.run).collect();
    let mut other = place.bus.consume(worker(2)).await.unwrap();
    while seen.len() < 50 {
        let wakes = soon(other.wakes(64)).await;
        seen.extend(wakes.iter().map(|wake| wake.run));
        other.ack(wakes).await;
    }
    // What it kept is still its own to acknowledge.
    full.ack(kept).await;
    drop((full, other));
    place.raw.counts("runs", 0).await;
    place.clean().await;
}

#[tokio::test]
async fn a_worker_that_goes_gives_back_what_it_had_not_acknowledged() {
    let Some(place) = Place::make().await else {
        return;
    };
    place
        .bus
        .publish(&[message(Message::APPROVED, 1)])
        .await
        .unwrap();
    let mut gone = place.bus.consume(worker(1)).await.unwrap();
    assert_eq!(soon(gone.wakes(1)).await.len(), 1);
    drop(gone);
    let mut other = place.bus.consume(worker(2)).await.unwrap();
    assert_eq!(soon(other.wakes(1)).await.len(), 1);
    place.clean().await;
}

#[tokio::test]
async fn what_cannot_be_read_is_for_people() {
    let Some(place) = Place::make().await else {
        return;
    };
    let mut inbox = place.bus.consume(worker(1)).await.unwrap();
    let mut future =
        serde_json::to_value(CloudEvent::from(&message(Message::APPROVED, 1))).unwrap();
    future["specversion"] = "2.0".into();
    let unknown = event(&message("flow_run.exploded", 2));
    for body in [b"\xff{".to_vec(), future.to_string().into_bytes(), unknown] {
        place
            .raw
            .put("runs", &body, BasicProperties::default())
            .await;
    }
    place
        .bus
        .publish(&[message(Message::APPROVED, 3)])
        .await
        .unwrap();
    let wakes = soon(inbox.wakes(10)).await;
    assert_eq!(wakes[0].run, message("", 3).run);
    inbox.ack(wakes).await;
    place.raw.counts("dead", 3).await;
    place.raw.counts("runs", 0).await;
    place.clean().await;
}

#[tokio::test]
async fn an_address_too_long_for_the_protocol_is_an_error() {
    let Some(place) = Place::make().await else {
        return;
    };
    let long = "x".repeat(300);
    let reply = Reply::Beat(Beat {
        dispatches: Vec::new(),
        integration: long.clone(),
        executor: "two".to_owned(),
    });
    assert!(place.tasks.answer(&long, &reply).await.is_err());
    assert!(
        place
            .tasks
            .offer(&queue(&long), &task(&long, 1))
            .await
            .is_err()
    );
    let queues = [queue(&long)];
    let inbox = place.tasks.tasks(worker(1), &queues, 1);
    // Nothing ever comes from there, and nothing breaks.
    assert!(nothing(soon(inbox).await.unwrap().next()).await);
    place.clean().await;
}

#[tokio::test]
async fn the_queues_of_a_worker_that_went_expire() {
    let Some(place) = Place::make().await else {
        return;
    };
    let replies = place.tasks.replies(worker(1)).await.unwrap();
    drop(replies);
    let channel = place.raw.channel().await;
    let mut table = FieldTable::default();
    table.insert("x-expires".into(), AMQPValue::LongInt(120_000));
    table.insert(
        "x-dead-letter-exchange".into(),
        AMQPValue::LongString(place.raw.name("dead").into()),
    );
    let options = lapin::options::QueueDeclareOptions::durable();
    let name = place.raw.name(&format!("replies.{}", worker(1)));
    // The same arguments are no conflict; others would be.
    channel
        .queue_declare(name.into(), options, table)
        .await
        .unwrap();
    place.clean().await;
}

#[tokio::test]
async fn a_bus_that_closes_gives_everything_back() {
    let Some(url) = broker() else { return };
    let place = Place::at(&url).await;
    let prefix = place.prefix.clone();
    let messages: Vec<Message> = (0..20).map(|n| message(Message::APPROVED, n)).collect();
    place.bus.publish(&messages).await.unwrap();
    let mut inbox = place.bus.consume(worker(1)).await.unwrap();
    let wakes = soon(inbox.wakes(5)).await;
    assert!(!wakes.is_empty());
    tokio::time::timeout(Duration::from_secs(5), place.bus.close())
        .await
        .unwrap();
    assert!(matches!(place.bus.standing(), Standing::Down(_)));
    let raw = Raw::connect(&url, &prefix).await;
    raw.counts("runs", 20).await;
    raw.clean().await;
}
