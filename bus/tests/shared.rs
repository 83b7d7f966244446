//! What every bus does alike: the one in this process, and the one by a broker.

use std::collections::HashSet;

use neena_bus::remote::{Accepted, Done, Order, Reply, Sent, Settled, TaskBus};
use neena_bus::{Bus, InProcess};
use neena_engine::Json;
use neena_store::Message;
use uuid::Uuid;

use crate::harness::{message, worker};
use crate::place::{Place, eventually, nothing, queue, soon, task};

macro_rules! both {
    ($($name:ident)*) => {
        mod in_process {
            $(#[tokio::test] async fn $name() {
                let bus = super::InProcess::new();
                super::$name(&bus, &bus).await;
            })*
        }
        mod rabbit {
            $(#[tokio::test] async fn $name() {
                let Some(place) = super::Place::make().await else { return };
                super::$name(&place.bus, &*place.tasks).await;
                place.clean().await;
            })*
        }
    };
}

both! {
    two_workers_share_the_wake_ups
    what_is_released_comes_again
    waiting_for_wake_ups_can_be_given_up
    what_wakes_nobody_is_taken_and_done
    a_poke_reaches_its_worker_only
    a_task_for_a_queue_nobody_made_is_taken_by_nobody
    a_task_arrives_as_it_was_sent
    a_task_that_is_dropped_or_given_back_comes_again
    a_task_that_is_dead_does_not_come_again
    so_many_tasks_are_out_and_no_more
    two_workers_share_the_tasks
    a_worker_takes_from_all_its_queues
    a_paused_worker_keeps_nothing_from_the_others
    replies_and_orders_reach_whom_they_are_for
}

async fn two_workers_share_the_wake_ups(bus: &dyn Bus, _: &dyn TaskBus) {
    let mut one = bus.consume(worker(1)).await.unwrap();
    let mut two = bus.consume(worker(2)).await.unwrap();
    let messages: Vec<Message> = (0..200).map(|n| message(Message::APPROVED, n)).collect();
    assert_eq!(bus.publish(&messages).await.unwrap().len(), 200);
    let mut runs = HashSet::new();
    let mut got = 0;
    while got < 200 {
        let (inbox, wakes) = soon(async {
            tokio::select! {
                wakes = one.wakes(10) => (&mut one, wakes),
                wakes = two.wakes(10) => (&mut two, wakes),
            }
        })
        .await;
        assert!(wakes.len() <= 10);
        got += wakes.len();
        runs.extend(wakes.iter().map(|wake| wake.run));
        inbox.ack(wakes).await;
    }
    assert_eq!((got, runs.len()), (200, 200));
    assert!(nothing(one.wakes(1)).await && nothing(two.wakes(1)).await);
}

async fn what_is_released_comes_again(bus: &dyn Bus, _: &dyn TaskBus) {
    let mut one = bus.consume(worker(1)).await.unwrap();
    bus.publish(&[message(Message::RESUMED, 1), message(Message::RESUMED, 2)])
        .await
        .unwrap();
    let mut wakes = soon(one.wakes(2)).await;
    if wakes.len() < 2 {
        wakes.extend(soon(one.wakes(1)).await);
    }
    let (first, second) = (wakes.remove(0), wakes.remove(0));
    one.ack(vec![first]).await;
    one.release(vec![second.clone()]).await;
    drop(one);
    let mut two = bus.consume(worker(2)).await.unwrap();
    assert_eq!(soon(two.wakes(10)).await, std::slice::from_ref(&second));
    two.ack(vec![second]).await;
    assert!(nothing(two.wakes(10)).await);
}

async fn waiting_for_wake_ups_can_be_given_up(bus: &dyn Bus, _: &dyn TaskBus) {
    let mut inbox = bus.consume(worker(1)).await.unwrap();
    for number in 0..20 {
        // Given up at whatever moment.
        let wait = std::time::Duration::from_millis(number as u64);
        assert!(tokio::time::timeout(wait, inbox.wakes(5)).await.is_err());
        bus.publish(&[message(Message::APPROVED, number)])
            .await
            .unwrap();
        let wakes = soon(inbox.wakes(5)).await;
        assert_eq!(wakes[0].run, message("", number).run);
        inbox.ack(wakes).await;
    }
}

async fn what_wakes_nobody_is_taken_and_done(bus: &dyn Bus, _: &dyn TaskBus) {
    let mut inbox = bus.consume(worker(1)).await.unwrap();
    let completed = message("flow_run.completed", 1);
    assert_eq!(
        bus.publish(std::slice::from_ref(&completed)).await.unwrap(),
        [completed.id]
    );
    assert!(nothing(inbox.wakes(1)).await);
}

async fn a_poke_reaches_its_worker_only(bus: &dyn Bus, _: &dyn TaskBus) {
    let mut one = bus.pokes(worker(1)).await;
    let mut two = bus.pokes(worker(2)).await;
    let run = message("", 7).run;
    // Unconfirmed: one that is sent before the worker listens is lost.
    eventually("a poke arrives", async || {
        bus.poke(worker(1), run).await;
        bus.poke(worker(3), run).await;
        !nothing(async { assert_eq!(one.recv().await, Some(run)) }).await
    })
    .await;
    assert!(two.try_recv().is_err());
}

async fn a_task_for_a_queue_nobody_made_is_taken_by_nobody(_: &dyn Bus, tasks: &dyn TaskBus) {
    let sent = tasks.offer(&queue("resize"), &task("resize", 1)).await;
    assert_eq!(sent.unwrap(), Sent::Nobody);
    assert_eq!(tasks.waiting(&queue("resize")).await.unwrap(), None);
    // Who once took from it may come back.
    drop(tasks.tasks(worker(1), &[queue("resize")], 1).await.unwrap());
    eventually("the queue waits for its next worker", async || {
        tasks.waiting(&queue("resize")).await.unwrap() == Some(0)
    })
    .await;
    let sent = tasks.offer(&queue("resize"), &task("resize", 1)).await;
    assert_eq!(sent.unwrap(), Sent::Taken);
    eventually("it waits", async || {
        tasks.waiting(&queue("resize")).await.unwrap() == Some(1)
    })
    .await;
    // Another version of the code is another queue.
    let mut other = queue("resize");
    other.digest = Some("f".repeat(64));
    assert_eq!(tasks.waiting(&other).await.unwrap(), None);
    let mut inbox = tasks.tasks(worker(2), &[queue("resize")], 1).await.unwrap();
    soon(inbox.next()).await.settling.settle(Settled::Done);
    eventually("it is gone", async || {
        tasks.waiting(&queue("resize")).await.unwrap() == Some(0)
    })
    .await;
}

async fn a_task_arrives_as_it_was_sent(_: &dyn Bus, tasks: &dyn TaskBus) {
    let mut inbox = tasks.tasks(worker(1), &[queue("resize")], 4).await.unwrap();
    let sent = task("resize", 1);
    tasks.offer(&queue("resize"), &sent).await.unwrap();
    let delivery = soon(inbox.next()).await;
    assert!(!delivery.redelivered);
    // Arguments keep their text: what was approved is what runs.
    assert_eq!(
        serde_json::to_string(&delivery.task).unwrap(),
        serde_json::to_string(&sent).unwrap()
    );
    delivery.settling.settle(Settled::Done);
    assert!(nothing(inbox.next()).await);
}

async fn a_task_that_is_dropped_or_given_back_comes_again(_: &dyn Bus, tasks: &dyn TaskBus) {
    let mut inbox = tasks.tasks(worker(1), &[queue("resize")], 1).await.unwrap();
    tasks
        .offer(&queue("resize"), &task("resize", 1))
        .await
        .unwrap();
    drop(soon(inbox.next()).await);
    let again = soon(inbox.next()).await;
    assert!(again.redelivered);
    again.settling.settle(Settled::Back);
    let again = soon(inbox.next()).await;
    assert!(again.redelivered);
    // A worker that ends settles what it has first.
    drop(inbox);
    let mut other = tasks.tasks(worker(2), &[queue("resize")], 1).await.unwrap();
    assert!(nothing(other.next()).await);
    drop(again);
    soon(other.next()).await.settling.settle(Settled::Done);
}

async fn a_task_that_is_dead_does_not_come_again(_: &dyn Bus, tasks: &dyn TaskBus) {
    let mut inbox = tasks.tasks(worker(1), &[queue("resize")], 1).await.unwrap();
    for number in 1..3 {
        tasks
            .offer(&queue("resize"), &task("resize", number))
            .await
            .unwrap();
    }
    soon(inbox.next()).await.settling.settle(Settled::Dead);
    let next = soon(inbox.next()).await;
    assert_eq!(next.task.dispatch, Uuid::from_u128(2));
    next.settling.settle(Settled::Done);
    assert!(nothing(inbox.next()).await);
}

async fn so_many_tasks_are_out_and_no_more(_: &dyn Bus, tasks: &dyn TaskBus) {
    let queues = [queue("one"), queue("two")];
    let mut inbox = tasks.tasks(worker(1), &queues, 3).await.unwrap();
    for number in 0..6 {
        let name = ["one", "two"][number as usize % 2];
        tasks
            .offer(&queue(name), &task(name, number))
            .await
            .unwrap();
    }
    let mut out = Vec::new();
    for _ in 0..3 {
        out.push(soon(inbox.next()).await);
    }
    assert!(nothing(inbox.next()).await);
    for _ in 0..3 {
        out.pop().unwrap().settling.settle(Settled::Done);
        out.insert(0, soon(inbox.next()).await);
    }
    let seen: HashSet<Uuid> = out.iter().map(|delivery| delivery.task.dispatch).collect();
    assert_eq!(seen.len(), 3);
}

async fn two_workers_share_the_tasks(_: &dyn Bus, tasks: &dyn TaskBus) {
    let queues = [queue("resize")];
    let mut one = tasks.tasks(worker(1), &queues, 2).await.unwrap();
    let mut two = tasks.tasks(worker(2), &queues, 2).await.unwrap();
    for number in 0..4 {
        tasks
            .offer(&queues[0], &task("resize", number))
            .await
            .unwrap();
    }
    let mut out = Vec::new();
    for _ in 0..2 {
        out.push(soon(one.next()).await);
        out.push(soon(two.next()).await);
    }
    let seen: HashSet<Uuid> = out.iter().map(|delivery| delivery.task.dispatch).collect();
    assert_eq!(seen.len(), 4);
}

async fn a_worker_takes_from_all_its_queues(_: &dyn Bus, tasks: &dyn TaskBus) {
    let mut outside = queue("outside");
    outside.digest = None;
    let queues = [queue("one"), queue("two"), outside];
    let mut inbox = tasks.tasks(worker(1), &queues, 8).await.unwrap();
    for (number, queue) in queues.iter().enumerate() {
        let task = task(&queue.integration, number as u128);
        assert_eq!(tasks.offer(queue, &task).await.unwrap(), Sent::Taken);
    }
    let mut seen = HashSet::new();
    for _ in 0..3 {
        let delivery = soon(inbox.next()).await;
        seen.insert(delivery.task.integration.clone());
        delivery.settling.settle(Settled::Done);
    }
    assert_eq!(seen.len(), 3);
}

async fn a_paused_worker_keeps_nothing_from_the_others(_: &dyn Bus, tasks: &dyn TaskBus) {
    let queues = [queue("resize")];
    let mut full = tasks.tasks(worker(1), &queues, 10).await.unwrap();
    for number in 0..10 {
        tasks
            .offer(&queues[0], &task("resize", number))
            .await
            .unwrap();
    }
    let kept = soon(full.next()).await;
    full.pause().await;
    let mut other = tasks.tasks(worker(2), &queues, 10).await.unwrap();
    let mut seen = HashSet::from([kept.task.dispatch]);
    for _ in 0..9 {
        let delivery = soon(other.next()).await;
        seen.insert(delivery.task.dispatch);
        delivery.settling.settle(Settled::Done);
    }
    assert_eq!(seen.len(), 10);
    // What it had is its own, and it can go on.
    kept.settling.settle(Settled::Done);
    drop(other);
    tasks.offer(&queues[0], &task("resize", 11)).await.unwrap();
    let next = soon(full.next()).await;
    assert_eq!(next.task.dispatch, Uuid::from_u128(11));
}

async fn replies_and_orders_reach_whom_they_are_for(_: &dyn Bus, tasks: &dyn TaskBus) {
    let mut owner = tasks.replies(worker(1)).await.unwrap();
    let mut another = tasks.replies(worker(2)).await.unwrap();
    let mut orders = tasks.orders(worker(3)).await;
    let accepted = Accepted {
        dispatch: Uuid::from_u128(1),
        integration: "resize".to_owned(),
        executor: "three".to_owned(),
        control_queue: tasks.control_queue(worker(3)),
        code_digest: "abc".to_owned(),
    };
    let address = tasks.reply_queue(worker(1));
    let reply = Reply::Accepted(accepted.clone());
    assert_eq!(tasks.answer(&address, &reply).await.unwrap(), Sent::Taken);
    let Some(Reply::Accepted(got)) = soon(owner.recv()).await else {
        panic!("something else came");
    };
    assert_eq!(got, accepted);
    let order = Order::Permit {
        dispatch: got.dispatch,
    };
    tasks.order(&got.control_queue, "resize", &order).await;
    assert_eq!(soon(orders.recv()).await, Some(order));
    let done = Done {
        dispatch: got.dispatch,
        integration: "resize".to_owned(),
        run: task("", 1).run,
        index: 0,
        item: None,
        attempt: 1,
        epoch: 1,
        result: Some(Json::trusted(r#"{"a": 1.0}"#)),
        error: None,
        elapsed_us: 5,
    };
    let reply = Reply::Done(done);
    assert_eq!(tasks.answer(&address, &reply).await.unwrap(), Sent::Taken);
    let Some(Reply::Done(got)) = soon(owner.recv()).await else {
        panic!("something else came");
    };
    assert_eq!(got.result.unwrap().text(), r#"{"a": 1.0}"#);
    let nowhere = tasks.reply_queue(worker(9));
    assert_eq!(tasks.answer(&nowhere, &reply).await.unwrap(), Sent::Nobody);
    assert!(another.try_recv().is_err());
}
