//! What a run's client sees of workers.

use std::time::{Duration, Instant};

use neena_engine::run::{Decision, RunStatus, TaskStatus};
use neena_store::Message;
use uuid::Uuid;

use crate::plans::{Step, actor, step};
use crate::scripted::Scripted;
use crate::world::{LEASE, World, until};

#[tokio::test(flavor = "multi_thread")]
async fn a_run_is_walked_to_its_end_and_every_outcome_is_recorded() {
    let world = World::new().await;
    let script = Scripted::new();
    let worker = world.worker(4, &script).await;
    let run = world
        .run(&[step("echo", &[]), step("echo", &[0]), step("echo", &[0, 1])])
        .await;
    assert_eq!(world.ended(run).await, RunStatus::Completed);
    let rows = world.rows(run).await;
    assert!(rows.values().all(|row| row.status == TaskStatus::Completed));
    assert_eq!(rows.len(), 3);
    worker.stop().await;
    world.close().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_failing_task_is_tried_again_and_then_fails_its_run() {
    let world = World::new().await;
    let script = Scripted::new();
    let worker = world.worker(4, &script).await;
    let failing = Step {
        attempts: 3,
        delay_ms: 10,
        ..step("fail", &[])
    };
    let run = world.run(&[failing, step("echo", &[0])]).await;
    assert_eq!(world.ended(run).await, RunStatus::Failed);
    assert_eq!(script.seen().begun.get(&0), Some(&3));
    assert_eq!(script.seen().begun.get(&1), None);
    worker.stop().await;
    world.close().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_doubled_wake_up_starts_nothing_twice() {
    let world = World::new().await;
    let script = Scripted::new();
    let (one, two) = (
        world.worker(4, &script).await,
        world.worker(4, &script).await,
    );
    let run = world.run(&[step("nap", &[])]).await;
    let wake = Message {
        id: Uuid::now_v7(),
        kind: Message::APPROVED.to_owned(),
        organization: neena_engine::ids::OrganizationId(Uuid::nil()),
        run,
        epoch: 0,
        at: neena_engine::Micros(0),
    };
    for _ in 0..5 {
        world
            .bus
            .publish(std::slice::from_ref(&wake))
            .await
            .unwrap();
    }
    assert_eq!(world.ended(run).await, RunStatus::Completed);
    assert_eq!(script.seen().begun.get(&0), Some(&1));
    one.stop().await;
    two.stop().await;
    world.close().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_wide_run_uses_the_slots_of_all_workers() {
    let world = World::new().await;
    let (first, second) = (Scripted::new(), Scripted::new());
    let one = world.worker(4, &first).await;
    let two = world.worker(4, &second).await;
    // They hear of each other with their beats.
    tokio::time::sleep(LEASE / 2).await;
    let naps: Vec<Step> = (0..24).map(|_| step("nap", &[])).collect();
    let began = Instant::now();
    let run = world.run(&naps).await;
    assert_eq!(world.ended(run).await, RunStatus::Completed);
    // Twenty-four naps of a second: six seconds in four slots, three in eight.
    let took = began.elapsed();
    assert!(took < Duration::from_millis(5_500), "{took:?}");
    assert_eq!(
        (first.seen().most_at_once, second.seen().most_at_once),
        (4, 4)
    );
    one.stop().await;
    two.stop().await;
    world.close().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_task_runs_where_its_code_is() {
    let world = World::new().await;
    let (without, with) = (Scripted::new(), Scripted::new());
    without.host(false);
    let one = world.worker(4, &without).await;
    let two = world.worker(4, &with).await;
    for _ in 0..6 {
        let run = world.run(&[step("echo", &[]), step("echo", &[0])]).await;
        assert_eq!(world.ended(run).await, RunStatus::Completed);
    }
    assert!(without.seen().begun.is_empty());
    assert_eq!(with.seen().begun.values().sum::<u32>(), 12);
    one.stop().await;
    two.stop().await;
    world.close().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_cancel_stops_what_runs_and_starts_nothing_more() {
    let world = World::new().await;
    let script = Scripted::new();
    let worker = world.worker(4, &script).await;
    let run = world.run(&[step("hang", &[]), step("echo", &[0])]).await;
    until(async || script.seen().begun.len() == 1).await;
    let asked = Instant::now();
    world.decide(run, Decision::Cancel { actor: actor() }).await;
    until(async || script.seen().stopped == 1).await;
    let took = asked.elapsed();
    assert!(took < Duration::from_secs(2), "{took:?}");
    assert_eq!(world.ended(run).await, RunStatus::Cancelled);
    assert_eq!(script.seen().begun.len(), 1);
    worker.stop().await;
    world.close().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_a_stopped_worker_gives_back_goes_on_elsewhere_within_a_second() {
    let world = World::new().await;
    let (first, second) = (Scripted::new(), Scripted::new());
    let one = world.worker(4, &first).await;
    let run = world.run(&[step("echo", &[]), step("gate", &[0])]).await;
    until(async || first.seen().begun.len() == 2).await;
    let two = world.worker(4, &second).await;
    let asked = Instant::now();
    one.stop().await;
    until(async || two.held() == 1).await;
    let took = asked.elapsed();
    assert!(took < Duration::from_secs(1), "{took:?}");
    second.gate.add_permits(1);
    assert_eq!(world.ended(run).await, RunStatus::Completed);
    assert_eq!(
        second.seen().begun.get(&0),
        None,
        "what was done stays done"
    );
    two.stop().await;
    world.close().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_runs_of_a_dead_worker_go_on_elsewhere_within_its_lease() {
    let world = World::new().await;
    let (first, second) = (Scripted::new(), Scripted::new());
    let one = world.worker(4, &first).await;
    let run = world.run(&[step("echo", &[]), step("gate", &[0])]).await;
    until(async || first.seen().begun.len() == 2).await;
    let two = world.worker(4, &second).await;
    let died = Instant::now();
    one.die();
    until(async || two.held() == 1).await;
    let took = died.elapsed();
    assert!(took < LEASE + Duration::from_secs(2), "{took:?}");
    second.gate.add_permits(1);
    assert_eq!(world.ended(run).await, RunStatus::Completed);
    assert_eq!(
        second.seen().begun.get(&0),
        None,
        "what was done stays done"
    );
    two.stop().await;
    world.close().await;
}
