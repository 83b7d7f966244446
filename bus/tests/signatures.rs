//! What is not signed as it should be counts for nothing.

use lapin::BasicProperties;
use lapin::types::{AMQPValue, FieldTable};
use neena_bus::remote::{Beat, RemoteTask, Reply, Settled, TASK_V, TaskKeys};

use crate::harness::worker;
use crate::place::{MASTER_KEY, Place, nothing, queue, soon, task};

/// The body of a task, and headers with a signature.
fn signed(task: &RemoteTask, key_of: &str, master: &str) -> (Vec<u8>, BasicProperties) {
    let body = serde_json::to_vec(task).unwrap();
    let signature = TaskKeys::new(master).unwrap().of(key_of).sign(&body);
    let mut headers = FieldTable::default();
    headers.insert(
        "neena-signature".into(),
        AMQPValue::LongString(signature.into()),
    );
    (body, BasicProperties::default().with_headers(headers))
}

#[tokio::test]
async fn a_task_that_is_not_signed_as_it_should_be_is_run_by_nobody() {
    let Some(place) = Place::make().await else {
        return;
    };
    let resize = queue("resize");
    let mut inbox = place
        .tasks
        .tasks(worker(1), std::slice::from_ref(&resize), 4)
        .await
        .unwrap();
    let name = format!("tasks.{resize}");
    let good = task("resize", 1);
    let other_version = RemoteTask {
        v: TASK_V + 1,
        ..good.clone()
    };
    let (body, signature) = signed(&good, "resize", MASTER_KEY);
    let changed = [&body[..body.len() - 1], b" }"].concat();
    let bad = [
        (body.clone(), BasicProperties::default()),
        (changed, signature.clone()),
        signed(&good, "other", MASTER_KEY),
        signed(&good, "resize", "another master key of 32 letters"),
        signed(&other_version, "resize", MASTER_KEY),
        (b"{}".to_vec(), signature.clone()),
    ];
    let count = bad.len() as u32;
    for (body, properties) in bad {
        place.raw.put(&name, &body, properties).await;
    }
    place.raw.put(&name, &body, signature).await;
    let delivery = soon(inbox.next()).await;
    assert_eq!(delivery.task.dispatch, good.dispatch);
    delivery.settling.settle(Settled::Done);
    place.raw.counts("dead", count).await;
    assert!(nothing(inbox.next()).await);
    // One that a worker could not run joins them.
    place.tasks.offer(&resize, &good).await.unwrap();
    soon(inbox.next()).await.settling.settle(Settled::Dead);
    place.raw.counts("dead", count + 1).await;
    place.clean().await;
}

#[tokio::test]
async fn a_reply_counts_only_with_the_key_of_its_integration() {
    let Some(place) = Place::make().await else {
        return;
    };
    let mut replies = place.tasks.replies(worker(1)).await.unwrap();
    let beat = |integration: &str| {
        Reply::Beat(Beat {
            dispatches: Vec::new(),
            integration: integration.to_owned(),
            executor: "two".to_owned(),
        })
    };
    let name = format!("replies.{}", worker(1));
    let body = serde_json::to_vec(&beat("resize")).unwrap();
    let forged = TaskKeys::new(MASTER_KEY).unwrap().of("other").sign(&body);
    let mut headers = FieldTable::default();
    headers.insert(
        "neena-signature".into(),
        AMQPValue::LongString(forged.into()),
    );
    place
        .raw
        .put(
            &name,
            &body,
            BasicProperties::default().with_headers(headers),
        )
        .await;
    let address = place.tasks.reply_queue(worker(1));
    place.tasks.answer(&address, &beat("other")).await.unwrap();
    let first = soon(replies.recv()).await.unwrap();
    assert_eq!(first.integration(), "other");
    place.raw.counts("dead", 1).await;
    place.clean().await;
}
