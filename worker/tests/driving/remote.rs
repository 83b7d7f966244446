//! Tasks that travel between workers: wide runs fill the cluster, code is found where it is hosted, and what
//! is lost is sent again.

use std::sync::Arc;
use std::time::Duration;

use neena_bus::remote::{
    Accepted, Delivery, Done, Order, Reply, Sent, Settled, TaskBus, TaskInbox, TaskQueue,
};
use neena_engine::Json;
use neena_engine::ids::WorkerId;
use neena_engine::run::{Decision, RunStatus, TaskStatus};
use neena_worker::Worker;
use tokio::time::Instant;
use uuid::Uuid;

use crate::harness::{Step, World, actor, step};
use crate::scripted::{DIGEST, Scripted};

/// A wide run: so many naps at once.
fn naps(count: usize) -> Vec<Step> {
    (0..count).map(|_| step("nap", &[])).collect()
}

/// The queue of the scripted code.
fn queue() -> TaskQueue {
    TaskQueue {
        integration: "scripted".into(),
        digest: Some(DIGEST.into()),
    }
}

/// Two workers that exchange tasks, with the scripts of what runs on each.
async fn pair(world: &World, slots: usize) -> [(Worker, Arc<Scripted>); 2] {
    let (one, two) = (Scripted::new(), Scripted::new());
    let first = world.exchanging(slots, one.clone()).await;
    let second = world.exchanging(slots, two.clone()).await;
    // They hear of each other with their beats.
    tokio::time::sleep(Duration::from_secs(4)).await;
    [(first, one), (second, two)]
}

#[tokio::test(start_paused = true)]
async fn a_wide_run_fills_the_slots_of_every_worker() {
    let mut world = World::new();
    let [(one, first), (two, second)] = pair(&world, 4).await;
    let began = Instant::now();
    let run = world.run(&naps(80)).await;
    assert_eq!(world.ended(run).await, RunStatus::Completed);
    // Eighty naps of a second in eight slots.
    let took = began.elapsed();
    assert!(took < Duration::from_secs(12), "{took:?}");
    assert_eq!(
        (first.seen().most_at_once, second.seen().most_at_once),
        (4, 4)
    );
    let begun: u32 = [&first, &second]
        .iter()
        .flat_map(|script| script.seen().begun.into_values())
        .sum();
    assert_eq!(begun, 80, "each task ran once");
    one.stop().await.unwrap();
    two.stop().await.unwrap();
    world.close().await;
}

#[tokio::test(start_paused = true)]
async fn runs_of_one_task_at_a_time_stay_where_they_are() {
    let mut world = World::new();
    let [(one, first), (two, second)] = pair(&world, 1).await;
    let mut runs = Vec::new();
    for _ in 0..10 {
        runs.push(world.run(&[step("nap", &[]), step("nap", &[0])]).await);
    }
    for run in runs {
        assert_eq!(world.ended(run).await, RunStatus::Completed);
    }
    // Both tasks of a run ran in the same place: nothing had to travel.
    let counts: Vec<u32> = [first, second]
        .iter()
        .flat_map(|script| script.seen().of_runs.into_values())
        .collect();
    assert_eq!(counts, [2; 10]);
    one.stop().await.unwrap();
    two.stop().await.unwrap();
    world.close().await;
}

#[tokio::test(start_paused = true)]
async fn a_task_goes_to_the_worker_that_hosts_its_code() {
    let mut world = World::new();
    let here = Scripted::new();
    here.host(false);
    let there = Scripted::new();
    let one = world.exchanging(4, here.clone()).await;
    let run = world.waiting(&[step("nap", &[]), step("echo", &[0])]);
    // Only the first is there when the run is approved: nobody hosts its code.
    world.approve(run).await;
    tokio::time::sleep(Duration::from_secs(12)).await;
    assert_eq!(world.status(run), RunStatus::InProgress);
    let reason = world.store.run(run).unwrap().reason.unwrap();
    assert!(
        reason.starts_with("no worker hosts scripted at"),
        "{reason}"
    );
    let two = world.exchanging(4, there.clone()).await;
    assert_eq!(world.ended(run).await, RunStatus::Completed);
    assert_eq!(here.seen().begun.len(), 0);
    assert_eq!(there.seen().begun.len(), 2);
    one.stop().await.unwrap();
    two.stop().await.unwrap();
    world.close().await;
}

/// A worker outside, driven by hand.
struct Outside {
    bus: neena_bus::InProcess,
    inbox: Box<dyn TaskInbox>,
    id: WorkerId,
}

impl Outside {
    async fn new(world: &World, number: u128) -> Outside {
        let bus = InProcessTasks::of(world);
        let id = WorkerId(Uuid::from_u128(number));
        let inbox = bus.tasks(id, &[queue()], 8).await.unwrap();
        Outside { bus, inbox, id }
    }

    async fn next(&mut self) -> Delivery {
        tokio::time::timeout(Duration::from_secs(60), self.inbox.next())
            .await
            .expect("a task")
    }

    async fn accept(&self, delivery: &Delivery) -> Sent {
        let accepted = Reply::Accepted(Accepted {
            dispatch: delivery.task.dispatch,
            integration: delivery.task.integration.clone(),
            executor: "outside".into(),
            control_queue: self.bus.control_queue(self.id),
            code_digest: delivery.task.code_digest.clone(),
        });
        let reply_to = &delivery.task.reply_to;
        self.bus.answer(reply_to, &accepted).await.unwrap()
    }

    async fn done(&self, delivery: &Delivery, integration: &str, result: &str) {
        let task = &delivery.task;
        let done = Reply::Done(Done {
            dispatch: task.dispatch,
            integration: integration.into(),
            run: task.run,
            index: task.index,
            item: task.item,
            attempt: task.attempt,
            epoch: task.epoch,
            result: Some(Json::of(&result)),
            error: None,
            elapsed_us: 1,
        });
        self.bus.answer(&task.reply_to, &done).await.unwrap();
    }
}

/// The tasks of a world's bus.
struct InProcessTasks;

impl InProcessTasks {
    fn of(world: &World) -> neena_bus::InProcess {
        (*world.bus).clone()
    }
}

/// A world in which only `outside` hosts the code, and a worker that sends it there.
async fn sending(world: &World) -> (Worker, Outside) {
    let here = Scripted::new();
    here.host(false);
    let outside = Outside::new(world, 77).await;
    world.enrol(outside.id, "scripted", DIGEST).await;
    let worker = world.exchanging(4, here).await;
    (worker, outside)
}

async fn result_of(world: &World, run: neena_engine::ids::RunId, index: u32) -> String {
    let rows = world.rows(run).await;
    let row = &rows[&index];
    row.result
        .as_ref()
        .map_or(String::new(), |result| result.text().to_owned())
}

#[tokio::test(start_paused = true)]
async fn an_executor_that_falls_silent_loses_its_task_to_another_dispatch() {
    let mut world = World::new();
    let (worker, mut outside) = sending(&world).await;
    let run = world.run(&[step("echo", &[])]).await;
    let first = outside.next().await;
    assert_eq!(outside.accept(&first).await, Sent::Taken);
    // Silence: the same attempt comes again, as another dispatch.
    let second = outside.next().await;
    assert_eq!(
        (first.task.attempt, &first.task.key),
        (second.task.attempt, &second.task.key)
    );
    assert_ne!(first.task.dispatch, second.task.dispatch);
    // The first one's late answer counts for nothing, nor does one signed for another integration.
    outside.done(&first, "scripted", "late").await;
    outside.accept(&second).await;
    outside.done(&second, "other", "forged").await;
    outside.done(&second, "scripted", "right").await;
    assert_eq!(world.ended(run).await, RunStatus::Completed);
    assert_eq!(result_of(&world, run, 0).await, "\"right\"");
    first.settling.settle(Settled::Done);
    second.settling.settle(Settled::Done);
    worker.stop().await.unwrap();
    world.close().await;
}

#[tokio::test(start_paused = true)]
async fn a_task_that_may_not_be_repeated_waits_for_a_permit_and_is_not_sent_twice() {
    let mut world = World::new();
    let (worker, mut outside) = sending(&world).await;
    let mut orders = outside.bus.orders(outside.id).await;
    let once = Step {
        repeatable: false,
        attempts: 5,
        ..step("echo", &[])
    };
    let run = world.run(&[once]).await;
    let delivery = outside.next().await;
    assert!(delivery.task.permit);
    // Its start is on record before it may start.
    assert_eq!(world.statuses(run).await, [TaskStatus::InProgress]);
    outside.accept(&delivery).await;
    let dispatch = delivery.task.dispatch;
    assert_eq!(orders.recv().await, Some(Order::Permit { dispatch }));
    // Lost after the permit: nobody knows whether it did its work.
    assert_eq!(world.ended(run).await, RunStatus::Failed);
    let rows = world.rows(run).await;
    let error = rows[&0].error.as_ref().unwrap().text().to_owned();
    assert!(error.contains("outcome_unknown"), "{error}");
    assert!(
        tokio::time::timeout(Duration::from_secs(60), outside.inbox.next())
            .await
            .is_err()
    );
    worker.stop().await.unwrap();
    world.close().await;
}

#[tokio::test(start_paused = true)]
async fn a_cancel_stops_a_task_that_runs_elsewhere() {
    let mut world = World::new();
    let [(one, first), (two, second)] = pair(&world, 1).await;
    let run = world.run(&[step("hang", &[]), step("hang", &[])]).await;
    let under_way = || first.seen().begun.len() + second.seen().begun.len() == 2;
    world.until(under_way).await;
    assert_eq!(
        (first.seen().most_at_once, second.seen().most_at_once),
        (1, 1)
    );
    world.decide(run, Decision::Cancel { actor: actor() }).await;
    world
        .until(|| first.seen().stopped + second.seen().stopped == 2)
        .await;
    assert_eq!(world.ended(run).await, RunStatus::Cancelled);
    one.stop().await.unwrap();
    two.stop().await.unwrap();
    world.close().await;
}

#[tokio::test(start_paused = true)]
async fn a_worker_that_stops_gives_the_tasks_of_others_back() {
    let mut world = World::new();
    let [(one, first), (two, second)] = pair(&world, 1).await;
    let run = world.run(&[step("long", &[]), step("long", &[])]).await;
    world
        .until(|| first.seen().begun.len() + second.seen().begun.len() == 2)
        .await;
    // Whoever runs the task of the other is stopped; its grace is two seconds, the task takes twenty.
    let (guest, owner) = if one.held() == 1 {
        (two, one)
    } else {
        (one, two)
    };
    guest.stop().await.unwrap();
    assert_eq!(world.ended(run).await, RunStatus::Completed);
    let begun: u32 = [&first, &second]
        .iter()
        .flat_map(|script| script.seen().begun.into_values())
        .sum();
    assert_eq!(begun, 3, "the stopped one began again elsewhere");
    owner.stop().await.unwrap();
    world.close().await;
}
