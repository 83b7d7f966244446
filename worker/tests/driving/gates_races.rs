//! Answers that come at inconvenient moments.

use std::time::Duration;

use neena_engine::run::{Decision, RunStatus};
use neena_store::{Store, Which};
use tokio::time::Instant;

use crate::behaviour::claim;
use crate::faulty::Faulty;
use crate::harness::{World, about, gate, gated, now, step};

fn opened(index: u32) -> Decision {
    Decision::Approve(about(index))
}

/// A run that asks, and that a task under way keeps from being parked.
async fn asks_and_works(world: &mut World) -> neena_engine::ids::RunId {
    let run = world
        .run(&[gated(step("echo", &[])), step("gate", &[])])
        .await;
    world
        .until(|| world.store.ask(run, gate(0)).is_some())
        .await;
    world.until(|| world.script.seen().begun.len() == 1).await;
    run
}

#[tokio::test(start_paused = true)]
async fn an_answer_while_the_run_parks_is_not_lost() {
    let mut world = World::new();
    let worker = world.worker(4).await;
    let run = asks_and_works(&mut world).await;
    // Nobody tells the owner, which is about to park the run: nothing is left but the gate.
    world.decide_unheard(run, opened(0)).await;
    world.script.gate.add_permits(1);
    let since = Instant::now();
    assert_eq!(world.ended(run).await, RunStatus::Completed);
    assert!(
        since.elapsed() < Duration::from_millis(100),
        "{:?}",
        since.elapsed()
    );
    assert_eq!(world.store.live(run), None);
    worker.stop().await.unwrap();
    world.close().await;
}

#[tokio::test(start_paused = true)]
async fn an_answer_that_nobody_was_told_of_is_found_by_the_next_beat() {
    let mut world = World::new();
    let _worker = world.worker(4).await;
    let run = asks_and_works(&mut world).await;
    world.decide_unheard(run, opened(0)).await;
    let since = now(&world).await;
    world
        .until(|| world.script.seen().begun.contains_key(&0))
        .await;
    let took = now(&world).await.since(since);
    assert!(took < Duration::from_millis(3_100), "{took:?}");
    world.script.gate.add_permits(1);
    assert_eq!(world.ended(run).await, RunStatus::Completed);
}

#[tokio::test(start_paused = true)]
async fn an_answer_is_heard_at_once_while_other_tasks_are_under_way() {
    let mut world = World::new();
    let _worker = world.worker(4).await;
    let run = asks_and_works(&mut world).await;
    world.decide(run, opened(0)).await;
    let since = Instant::now();
    world
        .until(|| world.script.seen().begun.contains_key(&0))
        .await;
    assert!(
        since.elapsed() < Duration::from_millis(100),
        "{:?}",
        since.elapsed()
    );
    world.script.gate.add_permits(1);
    assert_eq!(world.ended(run).await, RunStatus::Completed);
}

#[tokio::test(start_paused = true)]
async fn a_lost_message_of_an_answer_costs_a_second_or_two() {
    let mut world = World::new();
    let _worker = world.worker(4).await;
    let run = world.run(&[gated(step("echo", &[]))]).await;
    world.parked(run).await;
    world.decide_unheard(run, opened(0)).await;
    let since = now(&world).await;
    assert_eq!(world.ended(run).await, RunStatus::Completed);
    let took = now(&world).await.since(since);
    assert!(took < Duration::from_secs(3), "{took:?}");
}

#[tokio::test(start_paused = true)]
async fn two_gates_answered_at_once_both_open() {
    for heard in [true, false] {
        let mut world = World::new();
        let _worker = world.worker(4).await;
        let run = world
            .run(&[
                gated(step("echo", &[])),
                gated(step("echo", &[])),
                step("gate", &[]),
            ])
            .await;
        world
            .until(|| world.store.asked_gates(run).len() == 2)
            .await;
        if heard {
            let (one, two) = (world.decide(run, opened(0)), world.decide(run, opened(1)));
            tokio::join!(one, two);
        } else {
            world.decide_unheard(run, opened(0)).await;
            world.decide_unheard(run, opened(1)).await;
        }
        world.until(|| world.script.seen().begun.len() == 3).await;
        world.script.gate.add_permits(1);
        assert_eq!(world.ended(run).await, RunStatus::Completed);
    }
}

#[tokio::test(start_paused = true)]
async fn an_answer_while_the_run_is_handed_over_opens_the_gate_elsewhere() {
    let mut world = World::new();
    let one = world.worker_with_grace(4, 30).await;
    let run = asks_and_works(&mut world).await;
    let stopping = tokio::spawn(one.stop());
    // The grace goes on: the task is under way, and nothing more may start here.
    tokio::time::sleep(Duration::from_secs(5)).await;
    world.decide(run, opened(0)).await;
    tokio::time::sleep(Duration::from_secs(5)).await;
    assert!(!world.script.seen().begun.contains_key(&0));
    world.script.gate.add_permits(1);
    stopping.await.unwrap().unwrap();
    let _two = world.worker(4).await;
    assert_eq!(world.ended(run).await, RunStatus::Completed);
    assert_eq!(world.script.seen().begun[&1], 1);
}

#[tokio::test(start_paused = true)]
async fn an_open_gate_is_not_asked_about_twice_after_a_hand_over() {
    let mut world = World::new();
    let one = world.worker_with_grace(4, 0).await;
    let run = asks_and_works(&mut world).await;
    let asked_at = world.store.ask(run, gate(0)).unwrap().asked_at;
    tokio::time::sleep(Duration::from_secs(60)).await;
    one.stop().await.unwrap();
    let two = world.worker(4).await;
    world.script.gate.add_permits(2);
    world.parked(run).await;
    world.until(|| two.held() == 0).await;
    assert_eq!(world.store.ask(run, gate(0)).unwrap().asked_at, asked_at);
    world.decide(run, opened(0)).await;
    assert_eq!(world.ended(run).await, RunStatus::Completed);
}

#[tokio::test(start_paused = true)]
async fn an_answer_in_the_hands_of_a_dead_worker_goes_on_with_the_next() {
    let mut world = World::new();
    let run = world
        .run(&[gated(step("echo", &[])), step("echo", &[])])
        .await;
    let worker = world.worker(4).await;
    world.parked(run).await;
    worker.stop().await.unwrap();
    world.decide(run, opened(0)).await;
    // Somebody claims it and dies before the first step.
    let taken = world
        .store
        .claim(&claim(99), Which::Named(&[run]))
        .await
        .unwrap();
    assert_eq!(taken.len(), 1);
    world.store.bury_all().await.unwrap();
    let _worker = world.worker(4).await;
    assert_eq!(world.ended(run).await, RunStatus::Completed);
}

#[tokio::test(start_paused = true)]
async fn a_gate_answered_under_an_owner_that_is_dead_opens_for_the_next() {
    for answered_first in [true, false] {
        let mut world = World::new();
        let _worker = world.worker(4).await;
        let run = asks_and_works(&mut world).await;
        if answered_first {
            world.decide_unheard(run, opened(0)).await;
        }
        world.store.bury_all().await.unwrap();
        if !answered_first {
            world.decide_unheard(run, opened(0)).await;
        }
        world.script.gate.add_permits(2);
        assert_eq!(world.ended(run).await, RunStatus::Completed);
        assert_eq!(world.script.seen().begun[&0], 1);
    }
}

#[tokio::test(start_paused = true)]
async fn an_answer_while_the_code_is_missing_is_not_lost() {
    let mut world = World::new();
    let worker = world.worker(4).await;
    let run = world.run(&[gated(step("echo", &[]))]).await;
    world.parked(run).await;
    world.script.host(false);
    world.decide(run, opened(0)).await;
    let reason = || world.store.run(run).unwrap().reason;
    world
        .until(|| reason().is_some_and(|why| why.contains("no worker hosts")))
        .await;
    world.script.host(true);
    assert_eq!(world.ended(run).await, RunStatus::Completed);
    worker.stop().await.unwrap();
}

/// The owner looked at once, before the engine was told of its claim, and told it of answers to gates that it had not
/// come to yet.
#[tokio::test(start_paused = true)]
async fn an_answer_while_the_run_is_being_parked_for_its_code_is_not_lost() {
    let mut world = World::new();
    let first = world.worker(4).await;
    let run = world
        .run(&[gated(step("echo", &[])), gated(step("echo", &[]))])
        .await;
    world.parked(run).await;
    first.stop().await.unwrap();
    world.script.host(false);
    let slow = Faulty::over(world.store.clone());
    slow.commits.forget_permits(1_000);
    let worker = world.worker_over(slow.clone()).await.unwrap();
    world.decide(run, opened(0)).await;
    world.until(|| worker.held() == 1).await;
    world.decide(run, opened(1)).await;
    tokio::time::sleep(Duration::from_secs(1)).await;
    world.script.host(true);
    slow.commits.add_permits(1_000);
    assert_eq!(world.ended(run).await, RunStatus::Completed);
}
