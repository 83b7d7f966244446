//! Faults that were there once.

use std::sync::atomic::Ordering;
use std::time::Duration;

use neena_bus::Bus;
use neena_engine::ids::WorkerId;
use neena_engine::run::{Decision, RunStatus, TaskStatus};
use neena_store::{Store, StoreError, Which};
use tokio::time::timeout;
use uuid::Uuid;

use crate::behaviour::claim;
use crate::faulty::Faulty;
use crate::harness::{Step, World, actor, now, step};

#[tokio::test(start_paused = true)]
async fn a_task_that_ends_within_a_grace_longer_than_the_lease_is_recorded() {
    let mut world = World::new();
    let worker = world.worker_with_grace(4, 30).await;
    let run = world.run(&[step("long", &[])]).await;
    world.until(|| world.script.seen().begun.len() == 1).await;
    worker.stop().await.unwrap();
    assert_eq!(world.statuses(run).await, [TaskStatus::Completed]);
}

#[tokio::test(start_paused = true)]
async fn what_waits_for_a_slot_does_not_begin_after_a_failure() {
    let mut world = World::new();
    let _worker = world.worker(1).await;
    let mut steps = vec![step("fail", &[])];
    steps.extend((0..20).map(|_| step("nap", &[])));
    let run = world.run(&steps).await;
    assert_eq!(world.ended(run).await, RunStatus::Failed);
    assert!(world.script.seen().begun.len() <= 2);
    let rows = world.rows(run).await;
    let skipped = rows
        .values()
        .filter(|row| row.status == TaskStatus::Skipped);
    assert!(skipped.clone().count() >= 19, "{rows:#?}");
    assert!(
        skipped
            .clone()
            .all(|row| row.attempt == 0 && row.start_time.is_none())
    );
}

#[tokio::test(start_paused = true)]
async fn a_cancelled_run_that_is_given_back_is_not_closed_with_tasks_under_way() {
    let mut world = World::new();
    let worker = world.worker(4).await;
    let run = world.run(&[step("stubborn", &[])]).await;
    world.until(|| world.script.seen().begun.len() == 1).await;
    world.decide(run, Decision::Cancel { actor: actor() }).await;
    tokio::time::sleep(Duration::from_millis(500)).await;
    worker.stop().await.unwrap();
    let _worker = world.worker(4).await;
    world.until(|| world.store.result(run).is_some()).await;
    let statuses = world.statuses(run).await;
    assert!(
        statuses.iter().all(|status| status.is_outcome()),
        "{statuses:?}"
    );
}

#[tokio::test(start_paused = true)]
async fn the_limit_of_a_run_holds_after_one_of_its_tasks_failed() {
    let mut world = World::new();
    let _worker = world.worker(4).await;
    let retried = Step {
        attempts: 9,
        delay_ms: 2_000,
        ..step("fail", &[])
    };
    let steps = [step("long", &[]), retried, step("nap_and_fail", &[])];
    let run = world.run_for_ten_seconds(&steps).await;
    assert_eq!(world.ended(run).await, RunStatus::Failed);
    assert_eq!(world.rows(run).await[&0].status, TaskStatus::Cancelled);
}

#[tokio::test(start_paused = true)]
async fn the_limit_of_a_run_holds_where_its_code_is_missing() {
    let mut world = World::new();
    world.script.host(false);
    let _worker = world.worker(4).await;
    let run = world.run_for_ten_seconds(&[step("echo", &[])]).await;
    assert_eq!(world.ended(run).await, RunStatus::Failed);
    assert_eq!(
        world.store.run(run).unwrap().reason.as_deref(),
        Some("run_timeout")
    );
}

#[tokio::test(start_paused = true)]
async fn code_that_goes_while_its_run_is_held_makes_the_run_wait() {
    let mut world = World::new();
    let _worker = world.worker(4).await;
    let run = world.run(&[step("nap", &[]), step("echo", &[0])]).await;
    world.until(|| world.script.seen().begun.len() == 1).await;
    world.script.host(false);
    tokio::time::sleep(Duration::from_secs(20)).await;
    assert_eq!(world.script.seen().begun.len(), 1);
    assert_eq!(world.status(run), RunStatus::InProgress);
    world.script.host(true);
    assert_eq!(world.ended(run).await, RunStatus::Completed);
    assert_eq!(
        world.script.seen().begun[&0],
        1,
        "what had ended was not run again"
    );
}

#[tokio::test(start_paused = true)]
async fn an_executor_that_breaks_down_fails_its_task_and_nothing_else() {
    let mut world = World::new();
    let _worker = world.worker(1).await;
    let run = world.run(&[step("panic", &[])]).await;
    let healthy = world.run(&[step("echo", &[])]).await;
    assert_eq!(world.ended(run).await, RunStatus::Failed);
    assert!(
        world
            .store
            .result(run)
            .unwrap()
            .contains("executor_panicked")
    );
    assert_eq!(world.ended(healthy).await, RunStatus::Completed);
}

#[tokio::test(start_paused = true)]
async fn a_task_tried_before_keeps_its_count_through_a_round_that_does_not_reach_it() {
    let mut world = World::new();
    let _worker = world.worker(4).await;
    let run = world
        .run(&[step("fail", &[]), step("nap_and_fail", &[])])
        .await;
    assert_eq!(world.ended(run).await, RunStatus::Failed);
    for round in 2..=3 {
        world.decide(run, Decision::Retry { actor: actor() }).await;
        assert_eq!(world.ended(run).await, RunStatus::Failed);
        let rows = world.rows(run).await;
        assert!(rows.values().all(|row| row.attempt == round), "{rows:#?}");
    }
}

#[tokio::test(start_paused = true)]
async fn long_tasks_that_were_cut_off_twice_do_not_come_back_one_by_one() {
    let mut world = World::new();
    let mut runs = Vec::new();
    for _ in 0..6 {
        runs.push(world.run(&[step("minutes", &[])]).await);
    }
    for crash in 1..=2 {
        for run in &runs {
            let claim = claim(crash);
            world
                .store
                .claim(&claim, Which::Named(&[*run]))
                .await
                .unwrap();
        }
        world.store.bury_all().await.unwrap();
    }
    let began = now(&world).await;
    let _worker = world.worker(8).await;
    for run in runs {
        assert_eq!(world.ended(run).await, RunStatus::Completed);
    }
    let took = now(&world).await.since(began);
    assert!(took < Duration::from_secs(300 + 60), "{took:?}");
}

#[tokio::test(start_paused = true)]
async fn a_run_whose_message_was_lost_is_found_although_others_keep_coming() {
    let mut world = World::new();
    let _worker = world.worker(8).await;
    let lost = world.waiting(&[step("nap", &[])]);
    world.approve_unheard(lost).await;
    // Never a second without a message.
    for _ in 0..15 {
        world.run(&[step("nap", &[])]).await;
        tokio::time::sleep(Duration::from_millis(200)).await;
    }
    assert!(world.status(lost).is_final());
}

#[tokio::test(start_paused = true)]
async fn a_run_that_ends_while_its_worker_stops_is_not_announced_as_resumed() {
    let mut world = World::new();
    let worker = world.worker(4).await;
    let run = world.run(&[step("nap", &[])]).await;
    world.until(|| world.script.seen().begun.len() == 1).await;
    worker.stop().await.unwrap();
    assert_eq!(world.status(run), RunStatus::Completed);
    let mut inbox = world.bus.consume(WorkerId(Uuid::nil())).await.unwrap();
    let announced = timeout(Duration::from_secs(60), inbox.wakes(1)).await;
    assert!(announced.is_err(), "{announced:?}");
}

#[tokio::test(start_paused = true)]
async fn a_worker_whose_answer_to_joining_is_lost_joins_again_as_the_same() {
    let world = World::new();
    let store = Faulty::over(world.store.clone());
    store.joins.store(3, Ordering::Relaxed);
    let worker = world.worker_over(store).await.unwrap();
    let roster = world.store.roster().await.unwrap();
    let joined: Vec<WorkerId> = roster.iter().map(|member| member.id).collect();
    assert_eq!(joined, [worker.id()]);
}

#[tokio::test(start_paused = true)]
async fn a_worker_that_hears_no_answer_to_joining_says_so_in_the_end() {
    let world = World::new();
    let store = Faulty::over(world.store.clone());
    store.joins.store(u32::MAX, Ordering::Relaxed);
    let start = timeout(Duration::from_secs(10), world.worker_over(store));
    assert!(matches!(start.await.unwrap(), Err(StoreError::Unknown(_))));
}

/// Nobody who held a run was left to say that the disk had room again.
#[tokio::test(start_paused = true)]
async fn a_worker_takes_runs_again_after_a_full_disk_met_it_with_none() {
    let mut world = World::new();
    let store = Faulty::over(world.store.clone());
    let _worker = world.worker_over(store.clone()).await.unwrap();
    store.full.store(true, Ordering::Relaxed);
    let run = world.run(&[step("echo", &[])]).await;
    tokio::time::sleep(Duration::from_secs(5)).await;
    assert!(world.store.live(run).unwrap().owner.is_some());
    store.full.store(false, Ordering::Relaxed);
    assert_eq!(world.ended(run).await, RunStatus::Completed);
}
