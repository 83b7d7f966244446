//! What the worker does with runs, in good times and bad.

use neena_engine::ids::{ClaimId, WorkerId};
use neena_engine::plan::PLAN_V;
use neena_engine::run::{Decision, RunStatus, TaskStatus};
use neena_store::{Claim, Decided, Store, Which};
use uuid::Uuid;

use crate::harness::{Step, World, actor, approve, now, step};

/// A claim of another worker.
pub fn claim(id: u128) -> Claim {
    Claim {
        worker: WorkerId(Uuid::from_u128(id)),
        id: ClaimId(Uuid::from_u128(id)),
        plan_v: PLAN_V,
        suspect: true,
    }
}

fn error(row: &neena_engine::run::TaskRow) -> String {
    row.error
        .as_ref()
        .map(|error| error.text().to_owned())
        .unwrap_or_default()
}

#[tokio::test(start_paused = true)]
async fn an_approved_run_walks_its_graph_to_the_end() {
    let mut world = World::new();
    let worker = world.worker(4).await;
    let run = world
        .run(&[
            step("echo", &[]),
            step("nap", &[0]),
            step("nap", &[0]),
            step("echo", &[1, 2]),
        ])
        .await;
    assert_eq!(world.ended(run).await, RunStatus::Completed);
    assert_eq!(world.statuses(run).await, [TaskStatus::Completed; 4]);
    assert!(world.store.result(run).is_some());
    worker.stop().await.unwrap();
    world.close().await;
}

#[tokio::test(start_paused = true)]
async fn nothing_runs_before_the_approval() {
    let mut world = World::new();
    let _worker = world.worker(4).await;
    let run = world.waiting(&[step("echo", &[])]);
    let later = now(&world).await.after(std::time::Duration::from_secs(60));
    while now(&world).await < later {
        tokio::time::sleep(std::time::Duration::from_secs(1)).await;
    }
    assert!(world.script.seen().begun.is_empty());
    world.decide(run, approve()).await;
    assert_eq!(world.ended(run).await, RunStatus::Completed);
}

#[tokio::test(start_paused = true)]
async fn a_lost_message_costs_a_second_or_two() {
    let mut world = World::new();
    let _worker = world.worker(4).await;
    let run = world.waiting(&[step("echo", &[])]);
    let approved = now(&world).await;
    let deciding = neena_store::Deciding {
        run,
        organization: neena_engine::ids::OrganizationId(Uuid::nil()),
        decision: approve(),
        code_current: true,
    };
    // The message is not handed to the relay.
    assert!(matches!(
        world.store.decide(&deciding).await.unwrap(),
        Decided::Done { .. }
    ));
    world.ended(run).await;
    assert!(now(&world).await.since(approved).as_millis() < 3_000);
}

#[tokio::test(start_paused = true)]
async fn a_cancel_stops_what_runs_and_starts_nothing_more() {
    let mut world = World::new();
    let worker = world.worker(4).await;
    let run = world.run(&[step("hang", &[]), step("echo", &[0])]).await;
    world.until(|| world.script.seen().begun.len() == 1).await;
    world.decide(run, Decision::Cancel { actor: actor() }).await;
    assert_eq!(world.status(run), RunStatus::Cancelled);
    world.until(|| world.store.result(run).is_some()).await;
    assert_eq!(world.script.seen().stopped, 1);
    assert_eq!(world.statuses(run).await, [TaskStatus::Cancelled]);
    worker.stop().await.unwrap();
}

#[tokio::test(start_paused = true)]
async fn no_more_attempts_run_at_once_than_there_are_slots() {
    let mut world = World::new();
    let _worker = world.worker(3).await;
    let naps: Vec<Step> = (0..12).map(|_| step("nap", &[])).collect();
    let run = world.run(&naps).await;
    assert_eq!(world.ended(run).await, RunStatus::Completed);
    assert_eq!(world.script.seen().most_at_once, 3);
}

#[tokio::test(start_paused = true)]
async fn a_failed_attempt_is_tried_again_as_the_policy_says() {
    let mut world = World::new();
    let _worker = world.worker(4).await;
    let fails = Step {
        attempts: 3,
        delay_ms: 60_000,
        ..step("fail", &[])
    };
    let run = world.run(&[fails, step("echo", &[0])]).await;
    assert_eq!(world.ended(run).await, RunStatus::Failed);
    let rows = world.rows(run).await;
    assert_eq!((rows.len(), rows[&0].attempt), (1, 3));
    assert_eq!(
        world.store.attempts(run).len(),
        2,
        "earlier attempts are kept"
    );
    assert!(world.store.result(run).unwrap().contains("asked to fail"));
}

#[tokio::test(start_paused = true)]
async fn a_result_that_is_too_large_fails_its_task_only() {
    let mut world = World::new();
    let _worker = world.worker(4).await;
    let run = world.run(&[step("flood", &[])]).await;
    let healthy = world.run(&[step("echo", &[])]).await;
    assert_eq!(world.ended(run).await, RunStatus::Failed);
    assert!(error(&world.rows(run).await[&0]).contains("result_too_large"));
    assert_eq!(world.ended(healthy).await, RunStatus::Completed);
}

#[tokio::test(start_paused = true)]
async fn a_run_whose_code_is_not_here_waits_and_says_so() {
    let mut world = World::new();
    world.script.host(false);
    let _worker = world.worker(4).await;
    let run = world.run(&[step("echo", &[])]).await;
    let reason = || world.store.run(run).unwrap().reason;
    world
        .until(|| reason().is_some_and(|why| why.contains("no worker hosts")))
        .await;
    assert!(world.script.seen().begun.is_empty());
    world.script.host(true);
    assert_eq!(world.ended(run).await, RunStatus::Completed);
}

#[tokio::test(start_paused = true)]
async fn a_cancelled_run_whose_code_is_gone_is_closed_all_the_same() {
    let mut world = World::new();
    let worker = world.worker(4).await;
    let run = world.run(&[step("gate", &[])]).await;
    world.until(|| world.script.seen().begun.len() == 1).await;
    worker.stop().await.unwrap();
    world.script.host(false);
    world.decide(run, Decision::Cancel { actor: actor() }).await;
    let _worker = world.worker(4).await;
    world.until(|| world.store.result(run).is_some()).await;
    assert_eq!(world.status(run), RunStatus::Cancelled);
}

#[tokio::test(start_paused = true)]
async fn a_stop_lets_running_tasks_finish_within_the_grace() {
    let mut world = World::new();
    let worker = world.worker(4).await;
    let run = world.run(&[step("nap", &[]), step("echo", &[0])]).await;
    world.until(|| world.script.seen().begun.len() == 1).await;
    worker.stop().await.unwrap();
    assert_eq!(world.rows(run).await[&0].status, TaskStatus::Completed);
    assert_eq!(world.status(run), RunStatus::InProgress);
    let _worker = world.worker(4).await;
    assert_eq!(world.ended(run).await, RunStatus::Completed);
    assert_eq!(
        world.script.seen().begun[&0],
        1,
        "what had finished was not run again"
    );
}

#[tokio::test(start_paused = true)]
async fn a_task_that_must_not_repeat_is_unknown_if_it_was_lost_and_free_if_it_never_began() {
    let mut world = World::new();
    let worker = world.worker(1).await;
    let once = |method| Step {
        repeatable: false,
        ..step(method, &[])
    };
    let run = world.run(&[once("gate"), once("gate")]).await;
    world.until(|| world.script.seen().begun.len() == 1).await;
    let begun = *world.script.seen().begun.keys().next().unwrap();
    worker.stop().await.unwrap();
    world.script.gate.add_permits(10);
    let _worker = world.worker(1).await;
    assert_eq!(world.ended(run).await, RunStatus::Failed);
    let rows = world.rows(run).await;
    assert!(
        error(&rows[&begun]).contains("outcome_unknown"),
        "{rows:#?}"
    );
    assert_eq!(world.script.seen().begun[&begun], 1, "it ran once");
    // The other one was given back unstarted, so a retry may run it.
    let other = 1 - begun;
    assert!(
        rows.get(&other)
            .is_none_or(|row| row.status == TaskStatus::Skipped),
        "{rows:#?}"
    );
}

#[tokio::test(start_paused = true)]
async fn a_worker_that_lost_its_claim_writes_nothing() {
    let mut world = World::new();
    let _worker = world.worker(4).await;
    let run = world.run(&[step("gate", &[])]).await;
    world.until(|| world.script.seen().begun.len() == 1).await;
    // Somebody proves this worker dead and takes the run over.
    world.store.bury_all().await.unwrap();
    let taken = world
        .store
        .claim(&claim(99), Which::Named(&[run]))
        .await
        .unwrap();
    assert_eq!(taken.len(), 1);
    world.script.gate.add_permits(1);
    tokio::time::sleep(std::time::Duration::from_secs(5)).await;
    let rows = world.rows(run).await;
    assert!(
        rows.values().all(|row| !row.status.is_outcome()),
        "{rows:#?}"
    );
    assert_eq!(world.status(run), RunStatus::InProgress);
}

#[tokio::test(start_paused = true)]
async fn a_run_that_brings_workers_down_is_ended_after_three_and_its_neighbours_are_not() {
    let mut world = World::new();
    let poison = world.run(&[step("echo", &[])]).await;
    for id in 1..=3 {
        let taken = world
            .store
            .claim(&claim(id), Which::Named(&[poison]))
            .await
            .unwrap();
        assert_eq!(taken.len(), 1);
        world.store.bury_all().await.unwrap();
    }
    let healthy = world.run(&[step("echo", &[])]).await;
    let _worker = world.worker(4).await;
    assert_eq!(world.ended(poison).await, RunStatus::Failed);
    assert_eq!(
        world.store.run(poison).unwrap().reason.as_deref(),
        Some("worker_crash")
    );
    assert_eq!(world.ended(healthy).await, RunStatus::Completed);
    assert_eq!(
        world.script.seen().begun[&0],
        1,
        "only the healthy run's task began"
    );
}

#[tokio::test(start_paused = true)]
async fn suspects_are_taken_one_after_the_other_without_a_pause() {
    let mut world = World::new();
    let mut runs = Vec::new();
    for _ in 0..10 {
        runs.push(world.run(&[step("echo", &[]), step("echo", &[0])]).await);
    }
    for id in 1..=2 {
        for run in &runs {
            world
                .store
                .claim(&claim(id), Which::Named(&[*run]))
                .await
                .unwrap();
        }
        world.store.bury_all().await.unwrap();
    }
    let began = now(&world).await;
    let _worker = world.worker(4).await;
    for run in runs {
        assert_eq!(world.ended(run).await, RunStatus::Completed);
    }
    let took = now(&world).await.since(began);
    assert!(took.as_secs() < 4, "{took:?}");
}

#[tokio::test(start_paused = true)]
async fn what_a_stopping_worker_gives_back_goes_on_elsewhere_at_once() {
    let mut world = World::new();
    let one = world.worker_with_grace(4, 0).await;
    let run = world.run(&[step("minutes", &[])]).await;
    world.until(|| world.script.seen().begun.len() == 1).await;
    assert_eq!(one.held(), 1);
    let two = world.worker(4).await;
    let asked = tokio::time::Instant::now();
    let stopping = tokio::spawn(one.stop());
    world.until(|| two.held() == 1).await;
    let took = asked.elapsed();
    assert!(took < std::time::Duration::from_millis(100), "{took:?}");
    stopping.await.unwrap().unwrap();
    assert_eq!(world.ended(run).await, RunStatus::Completed);
    two.stop().await.unwrap();
    world.close().await;
}
