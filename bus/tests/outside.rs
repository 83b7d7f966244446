//! The worker of `examples/remote_worker`, in Python, taking part.

use std::process::{Child, Command};
use std::time::Duration;

use lapin::BasicProperties;
use neena_bus::remote::{Accepted, Done, Order, RemoteTask, Reply, Sent, TaskKeys, TaskQueue};
use neena_engine::Json;
use tokio::sync::mpsc;
use uuid::Uuid;

use crate::harness::worker;
use crate::place::{MASTER_KEY, Place, broker, eventually, root, soon, task};

/// The worker, killed when dropped.
struct Outside(Child);

impl Drop for Outside {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// Starts it, if there is a Python with aio-pika.
fn start(url: &str, place: &Place) -> Option<Outside> {
    let python = root().join("target/venv/bin/python");
    if !python.exists() {
        eprintln!(
            "SKIPPED: {} is missing; see scripts/setup",
            python.display()
        );
        return None;
    }
    let key = TaskKeys::new(MASTER_KEY).unwrap().of("word_counter");
    let child = Command::new(python)
        .arg(root().join("examples/remote_worker/worker.py"))
        .env("NEENA_AMQP_URL", url)
        .env("NEENA_AMQP_PREFIX", &place.prefix)
        .env("NEENA_TASK_KEY", key.to_hex())
        .env("PYTHONDONTWRITEBYTECODE", "1")
        .spawn()
        .unwrap();
    Some(Outside(child))
}

fn words() -> TaskQueue {
    TaskQueue {
        integration: "word_counter".to_owned(),
        digest: None,
    }
}

fn count(place: &Place, number: u128, arguments: &str) -> RemoteTask {
    RemoteTask {
        method: "count_words".to_owned(),
        arguments: Json::trusted(arguments),
        reply_to: place.tasks.reply_queue(worker(1)),
        timeout_ms: None,
        ..task("word_counter", number)
    }
}

async fn accepted(replies: &mut mpsc::Receiver<Reply>) -> Accepted {
    match soon(replies.recv()).await {
        Some(Reply::Accepted(accepted)) => accepted,
        other => panic!("{other:?}"),
    }
}

async fn done(replies: &mut mpsc::Receiver<Reply>) -> Done {
    loop {
        match soon(replies.recv()).await {
            Some(Reply::Done(done)) => return done,
            Some(Reply::Beat(_)) => {}
            other => panic!("{other:?}"),
        }
    }
}

#[tokio::test]
async fn a_worker_in_plain_python_takes_part() {
    let Some(url) = broker() else { return };
    let place = Place::at(&url).await;
    let mut replies = place.tasks.replies(worker(1)).await.unwrap();
    // Declared by us first: the worker must declare the same.
    drop(place.tasks.tasks(worker(1), &[words()], 1).await.unwrap());
    let Some(outside) = start(&url, &place) else {
        return place.clean().await;
    };
    let offer = async |task: &RemoteTask| {
        let sent = place.tasks.offer(&words(), task).await.unwrap();
        assert_eq!(sent, Sent::Taken);
    };

    let first = count(&place, 1, r#"{"text": "three short words"}"#);
    offer(&first).await;
    let said = accepted(&mut replies).await;
    assert_eq!(said.dispatch, first.dispatch);
    assert_eq!(said.code_digest, first.code_digest);
    let end = done(&mut replies).await;
    assert_eq!(end.result.unwrap().text(), r#"{"words": 3}"#);
    assert_eq!((end.run, end.index, end.item), (first.run, 2, Some(5)));
    assert_eq!((end.attempt, end.epoch), (1, 3));

    // It says that it lives, and stops when told to; an order of another integration's key is none.
    let long = count(&place, 2, r#"{"text": "a", "seconds": 3600}"#);
    offer(&long).await;
    let said = accepted(&mut replies).await;
    let stop = Order::Stop {
        dispatch: long.dispatch,
        grace_ms: 0,
    };
    place.tasks.order(&said.control_queue, "other", &stop).await;
    match soon(replies.recv()).await {
        Some(Reply::Beat(beat)) => assert_eq!(beat.dispatches, [long.dispatch]),
        other => panic!("{other:?}"),
    }
    place
        .tasks
        .order(&said.control_queue, "word_counter", &stop)
        .await;
    assert_eq!(done(&mut replies).await.error.unwrap().code, "stopped");

    let wrong = count(&place, 3, r#"{"words": 1}"#);
    offer(&wrong).await;
    accepted(&mut replies).await;
    assert_eq!(done(&mut replies).await.error.unwrap().code, "TypeError");
    let slow = RemoteTask {
        timeout_ms: Some(50),
        ..count(&place, 4, r#"{"text": "a", "seconds": 3600}"#)
    };
    offer(&slow).await;
    accepted(&mut replies).await;
    assert_eq!(done(&mut replies).await.error.unwrap().code, "timeout");

    // Only once it is permitted.
    let careful = RemoteTask {
        permit: true,
        repeatable: false,
        ..count(&place, 5, r#"{"text": "one two"}"#)
    };
    offer(&careful).await;
    let said = accepted(&mut replies).await;
    eventually("it is acknowledged before it runs", async || {
        place.raw.count("tasks.word_counter").await == Some(0)
    })
    .await;
    let permit = Order::Permit {
        dispatch: careful.dispatch,
    };
    place
        .tasks
        .order(&said.control_queue, "word_counter", &permit)
        .await;
    let end = done(&mut replies).await;
    assert_eq!(end.result.unwrap().text(), r#"{"words": 2}"#);

    // Not ours, not signed: for people.
    let unknown = RemoteTask {
        method: "sign".to_owned(),
        ..count(&place, 6, "{}")
    };
    offer(&unknown).await;
    let body = serde_json::to_vec(&first).unwrap();
    let unsigned = BasicProperties::default();
    place.raw.put("tasks.word_counter", &body, unsigned).await;
    place.raw.counts("dead", 2).await;

    // The owner of this one is gone: it is not started.
    let orphan = RemoteTask {
        reply_to: place.raw.name("replies.gone"),
        ..count(&place, 7, r#"{"text": "a", "seconds": 3600}"#)
    };
    offer(&orphan).await;
    place.raw.counts("tasks.word_counter", 0).await;

    // What it had when it died goes to the next one.
    let last = count(&place, 8, r#"{"text": "a b c d", "seconds": 2}"#);
    offer(&last).await;
    accepted(&mut replies).await;
    drop(outside);
    let next = start(&url, &place);
    assert_eq!(accepted(&mut replies).await.dispatch, last.dispatch);
    let end = tokio::time::timeout(Duration::from_secs(30), done(&mut replies));
    let end = end.await.unwrap();
    assert_eq!(end.dispatch, Uuid::from_u128(8));
    assert_eq!(end.result.unwrap().text(), r#"{"words": 4}"#);
    drop(next);
    let channel = place.raw.channel().await;
    let queue = place.raw.name("tasks.word_counter");
    let _ = channel.queue_delete(queue.into(), Default::default()).await;
    place.clean().await;
}
