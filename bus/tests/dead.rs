//! Dead letters, as `neena dead` shows and moves them.

use lapin::BasicProperties;
use neena_bus::remote::Settled;
use neena_bus::{Bus, DeadLetters, Replayed, Which};
use neena_store::Message;

use crate::harness::{message, worker};
use crate::place::{Place, broker, queue, soon, task};

#[tokio::test]
async fn dead_letters_are_listed_replayed_and_deleted() {
    let Some(url) = broker() else { return };
    let place = Place::at(&url).await;
    let letters = DeadLetters::connect(&url, &place.prefix).await.unwrap();
    assert!(letters.list(10).await.unwrap().is_empty());
    // One is not readable, one could not be run, one never was in a queue of ours.
    let mut wakes = place.bus.consume(worker(1)).await.unwrap();
    let waiting = tokio::spawn(async move { wakes.wakes(1).await });
    let properties = BasicProperties::default();
    place.raw.put("runs", b"garbage", properties.clone()).await;
    place.raw.counts("dead", 1).await;
    let resize = [queue("resize")];
    let mut inbox = place.tasks.tasks(worker(1), &resize, 1).await.unwrap();
    let sent = task("resize", 7);
    place.tasks.offer(&resize[0], &sent).await.unwrap();
    soon(inbox.next()).await.settling.settle(Settled::Dead);
    place.raw.counts("dead", 2).await;
    place.raw.put("dead", b"stray", properties).await;
    place.raw.counts("dead", 3).await;

    let listed = letters.list(10).await.unwrap();
    let [garbage, dead_task, stray] = listed.as_slice() else {
        panic!("{listed:?}");
    };
    assert_eq!(garbage.queue, Some(place.raw.name("runs")));
    assert_eq!(garbage.reason.as_deref(), Some("rejected"));
    assert_eq!(garbage.body, b"garbage");
    assert!(garbage.id.starts_with("body-") && garbage.died_at.is_some());
    assert_eq!(dead_task.id, sent.dispatch.to_string());
    assert_eq!(dead_task.kind.as_deref(), Some("task"));
    assert_eq!((&stray.queue, &stray.reason), (&None, &None));
    assert_eq!(letters.list(1).await.unwrap().len(), 1);
    // Listing takes nothing away.
    place.raw.counts("dead", 3).await;

    // A replayed task is as good as new: its signature is still there.
    let replayed = letters.replay(&Which::Id(dead_task.id.clone())).await;
    assert_eq!(replayed.unwrap().back, [dead_task.id.as_str()]);
    let again = soon(inbox.next()).await;
    assert_eq!(again.task.dispatch, sent.dispatch);
    again.settling.settle(Settled::Done);
    let replayed = letters.replay(&Which::Id(stray.id.clone())).await.unwrap();
    let stay = vec![stray.id.clone()];
    assert_eq!(replayed, Replayed { back: vec![], stay });
    let deleted = letters.delete(&Which::Id(garbage.id.clone())).await;
    assert_eq!(deleted.unwrap(), [garbage.id.as_str()]);
    place.raw.counts("dead", 1).await;
    assert_eq!(letters.delete(&Which::All).await.unwrap().len(), 1);
    place.raw.counts("dead", 0).await;

    // The worker that met the garbage still listens.
    place
        .bus
        .publish(&[message(Message::APPROVED, 1)])
        .await
        .unwrap();
    assert_eq!(soon(waiting).await.unwrap().len(), 1);
    place.clean().await;
}

#[tokio::test]
async fn what_came_from_a_queue_that_is_gone_stays_dead() {
    let Some(url) = broker() else { return };
    let place = Place::at(&url).await;
    let resize = [queue("resize")];
    let mut inbox = place.tasks.tasks(worker(1), &resize, 1).await.unwrap();
    place
        .tasks
        .offer(&resize[0], &task("resize", 7))
        .await
        .unwrap();
    soon(inbox.next()).await.settling.settle(Settled::Dead);
    place.raw.counts("dead", 1).await;
    drop(inbox);
    let name = place.raw.name(&format!("tasks.{}", resize[0]));
    let channel = place.raw.channel().await;
    channel
        .queue_delete(name.into(), Default::default())
        .await
        .unwrap();
    let letters = DeadLetters::connect(&url, &place.prefix).await.unwrap();
    let replayed = letters.replay(&Which::All).await.unwrap();
    assert_eq!((replayed.back.len(), replayed.stay.len()), (0, 1));
    place.raw.counts("dead", 1).await;
    place.clean().await;
}

#[tokio::test]
async fn a_broker_that_is_away_is_an_error_for_people() {
    let error = DeadLetters::connect("amqp://127.0.0.1:1", "neena").await;
    assert!(error.is_err());
}
