//! Tasks that people must let go on.

use std::time::Duration;

use neena_engine::Json;
use neena_engine::approval::{AskState, OnExpiry, Policy};
use neena_engine::ids::{RunId, UserId};
use neena_engine::run::{Actor, Decision, RunStatus, Say, TaskStatus};
use neena_store::Decided;
use serde_json::json;
use uuid::Uuid;

use crate::harness::{Step, World, about, actor, gate, gated, now, step};

fn opened(index: u32) -> Decision {
    Decision::Approve(about(index))
}

fn shut(index: u32) -> Decision {
    Decision::Reject(about(index))
}

async fn error(world: &World, run: RunId, index: u32) -> String {
    let row = world.rows(run).await.remove(&index).unwrap();
    row.error.unwrap().text().to_owned()
}

fn begun(world: &World) -> Vec<u32> {
    world.script.seen().begun.keys().copied().collect()
}

/// A gate that closes after a minute, as `on_expiry` says.
fn for_a_minute(on_expiry: OnExpiry, step: Step) -> Step {
    let gate = Policy {
        expires_in_ms: Some(60_000),
        on_expiry,
        ..Policy::quorum(1)
    };
    Step {
        gate: Some(gate),
        ..step
    }
}

#[tokio::test(start_paused = true)]
async fn a_gated_run_costs_no_worker_and_goes_on_with_what_was_answered() {
    let mut world = World::new();
    let worker = world.worker(4).await;
    let asks = Step {
        x: Some("{{ gates.step_1.amount }}"),
        ..gated(step("echo", &[0]))
    };
    let after = Step {
        x: Some("{{ gates.step_1.amount + 1 }}"),
        ..step("echo", &[1])
    };
    let run = world.run(&[step("echo", &[]), asks, after]).await;
    world.parked(run).await;
    world.until(|| worker.held() == 0).await;
    let reason = world.store.run(run).unwrap().reason;
    assert_eq!(reason.as_deref(), Some("approval of `step 1`"));
    tokio::time::sleep(Duration::from_secs(86_400)).await;
    assert_eq!(begun(&world), [0]);
    assert_eq!(world.store.live(run).unwrap().epoch, 1, "nobody claimed it");
    let say = Say {
        answer: Some(Json::of(&json!({ "amount": 7 }))),
        ..about(1)
    };
    world.decide(run, Decision::Approve(say)).await;
    assert_eq!(world.ended(run).await, RunStatus::Completed);
    let rows = world.rows(run).await;
    let result = |index| rows[&index].result.as_ref().unwrap().text().to_owned();
    assert_eq!(result(1), r#"{"x":7}"#);
    assert_eq!(result(2), r#"{"x":8}"#);
    worker.stop().await.unwrap();
    world.close().await;
}

#[tokio::test(start_paused = true)]
async fn a_rejected_gate_fails_its_task_and_with_it_the_run() {
    let mut world = World::new();
    let _worker = world.worker(4).await;
    let run = world
        .run(&[step("echo", &[]), gated(step("echo", &[0]))])
        .await;
    world.parked(run).await;
    world.decide(run, shut(1)).await;
    assert_eq!(world.ended(run).await, RunStatus::Failed);
    assert!(error(&world, run, 1).await.contains("gate_rejected"));
    assert!(error(&world, run, 1).await.contains("someone@example.com"));
    assert_eq!(begun(&world), [0]);
}

#[tokio::test(start_paused = true)]
async fn a_rejected_gate_leaves_other_branches_be_where_the_flow_goes_on() {
    let mut world = World::new();
    let _worker = world.worker(4).await;
    let steps = [
        gated(step("echo", &[])),
        gated(step("echo", &[])),
        step("echo", &[0]),
        step("echo", &[1]),
    ];
    let run = world.run_that_goes_on(&steps).await;
    world.parked(run).await;
    world.decide(run, shut(0)).await;
    world.until(|| world.store.tasks(run).len() == 2).await;
    world.parked(run).await;
    world.decide(run, opened(1)).await;
    assert_eq!(world.ended(run).await, RunStatus::Failed);
    assert_eq!(begun(&world), [1, 3]);
}

#[tokio::test(start_paused = true)]
async fn gates_in_parallel_branches_are_not_resumed_together() {
    for first in [1, 2] {
        let mut world = World::new();
        let worker = world.worker(4).await;
        let steps = [
            step("echo", &[]),
            gated(step("echo", &[0])),
            gated(step("echo", &[0])),
            step("echo", &[1]),
            step("echo", &[2]),
        ];
        let run = world.run(&steps).await;
        world.parked(run).await;
        let reason = world.store.run(run).unwrap().reason;
        assert_eq!(
            reason.as_deref(),
            Some("approval of `step 1` and 1 more"),
            "both are asked for at once"
        );
        world.decide(run, opened(first)).await;
        world.until(|| begun(&world).contains(&(first + 2))).await;
        world.parked(run).await;
        tokio::time::sleep(Duration::from_secs(600)).await;
        let second = 3 - first;
        assert_eq!(begun(&world), [0, first, first + 2]);
        let ask = world.store.ask(run, gate(second)).unwrap();
        assert_eq!(ask.state, AskState::Open);
        assert_eq!(worker.held(), 0);
        world.decide(run, opened(second)).await;
        assert_eq!(world.ended(run).await, RunStatus::Completed);
        assert!(world.script.seen().begun.values().all(|times| *times == 1));
    }
}

#[tokio::test(start_paused = true)]
async fn a_gate_asks_its_stages_in_order() {
    let mut world = World::new();
    let _worker = world.worker(4).await;
    let mut policy = Policy::quorum(1);
    policy.stages.push(policy.stages[0].clone());
    policy.stages[1].name = "second".into();
    let step = Step {
        gate: Some(policy),
        ..step("echo", &[])
    };
    let run = world.run(&[step]).await;
    world.parked(run).await;
    world.decide(run, opened(0)).await;
    assert_eq!(world.store.ask(run, gate(0)).unwrap().stage, 1);
    tokio::time::sleep(Duration::from_secs(60)).await;
    assert!(begun(&world).is_empty());
    let say = Say {
        actor: Actor {
            user: UserId(Uuid::from_u128(8)),
            email: "another@example.com".into(),
            ..actor()
        },
        ..about(0)
    };
    world.decide(run, Decision::Approve(say)).await;
    assert_eq!(world.ended(run).await, RunStatus::Completed);
}

#[tokio::test(start_paused = true)]
async fn a_gate_that_nobody_answers_closes_in_time() {
    let mut world = World::new();
    let worker = world.worker(4).await;
    let run = world
        .run(&[for_a_minute(OnExpiry::Reject, step("echo", &[]))])
        .await;
    world.parked(run).await;
    let since = now(&world).await;
    assert_eq!(world.ended(run).await, RunStatus::Failed);
    let took = now(&world).await.since(since);
    assert!((59..64).contains(&took.as_secs()), "{took:?}");
    assert!(error(&world, run, 0).await.contains("gate_expired"));
    assert!(begun(&world).is_empty());
    assert_eq!(worker.held(), 0);
}

#[tokio::test(start_paused = true)]
async fn a_gate_may_open_when_its_time_is_over() {
    let mut world = World::new();
    let _worker = world.worker(4).await;
    let run = world
        .run(&[for_a_minute(OnExpiry::Approve, step("echo", &[]))])
        .await;
    assert_eq!(world.ended(run).await, RunStatus::Completed);
    assert_eq!(world.script.seen().begun[&0], 1);
}

#[tokio::test(start_paused = true)]
async fn a_gate_that_is_put_to_others_waits_once_more() {
    for answered in [true, false] {
        let mut world = World::new();
        let _worker = world.worker(4).await;
        let run = world
            .run(&[for_a_minute(OnExpiry::Escalate, step("echo", &[]))])
            .await;
        let escalated = || {
            let ask = world.store.ask(run, gate(0));
            ask.is_some_and(|ask| ask.escalated)
        };
        world.until(escalated).await;
        world.parked(run).await;
        let status = if answered {
            world.decide(run, opened(0)).await;
            RunStatus::Completed
        } else {
            RunStatus::Failed
        };
        assert_eq!(world.ended(run).await, status);
    }
}

#[tokio::test(start_paused = true)]
async fn a_new_round_asks_again_about_what_did_not_complete() {
    let mut world = World::new();
    let _worker = world.worker(4).await;
    let steps = [
        gated(step("echo", &[])),
        gated(step("echo", &[0])),
        gated(step("fail", &[1])),
    ];
    let run = world.run(&steps).await;
    for index in 0..3 {
        world.parked(run).await;
        world.decide(run, opened(index)).await;
    }
    assert_eq!(world.ended(run).await, RunStatus::Failed);
    world.decide(run, Decision::Retry { actor: actor() }).await;
    world.parked(run).await;
    let state = |index| world.store.ask(run, gate(index)).unwrap().state;
    assert_eq!(
        [state(0), state(1), state(2)],
        [AskState::Approved, AskState::Approved, AskState::Open]
    );
    assert_eq!(world.script.seen().begun[&2], 1, "nothing goes unasked");
    world.decide(run, opened(2)).await;
    assert_eq!(world.ended(run).await, RunStatus::Failed);
    assert_eq!(world.script.seen().begun[&2], 2);
    assert_eq!(world.script.seen().begun[&0], 1);
}

#[tokio::test(start_paused = true)]
async fn a_new_round_asks_again_after_a_rejection() {
    let mut world = World::new();
    let _worker = world.worker(4).await;
    let run = world.run(&[gated(step("echo", &[]))]).await;
    world.parked(run).await;
    world.decide(run, shut(0)).await;
    assert_eq!(world.ended(run).await, RunStatus::Failed);
    world.decide(run, Decision::Retry { actor: actor() }).await;
    world.parked(run).await;
    world.decide(run, opened(0)).await;
    assert_eq!(world.ended(run).await, RunStatus::Completed);
}

#[tokio::test(start_paused = true)]
async fn a_cancel_takes_back_what_was_asked() {
    // Parked, and held by a task under way.
    for under_way in [false, true] {
        let mut world = World::new();
        let _worker = world.worker(4).await;
        let other = if under_way { "hang" } else { "echo" };
        let run = world
            .run(&[gated(step("echo", &[])), step(other, &[])])
            .await;
        world
            .until(|| world.store.ask(run, gate(0)).is_some())
            .await;
        if !under_way {
            world.parked(run).await;
        }
        world.decide(run, Decision::Cancel { actor: actor() }).await;
        world.until(|| world.store.result(run).is_some()).await;
        assert_eq!(world.status(run), RunStatus::Cancelled);
        assert!(world.store.asked_gates(run).is_empty());
        let late = world.decide(run, opened(0)).await;
        assert!(matches!(late, Decided::Refused(_)), "{late:?}");
    }
}

#[tokio::test(start_paused = true)]
async fn a_failure_elsewhere_takes_back_what_was_asked() {
    let mut world = World::new();
    let _worker = world.worker(4).await;
    let run = world
        .run(&[gated(step("echo", &[])), step("nap_and_fail", &[])])
        .await;
    assert_eq!(world.ended(run).await, RunStatus::Failed);
    assert!(world.store.asked_gates(run).is_empty());
    let rows = world.rows(run).await;
    assert!(
        rows.get(&0)
            .is_none_or(|row| row.status == TaskStatus::Skipped)
    );
}

#[tokio::test(start_paused = true)]
async fn the_limit_of_a_run_holds_while_it_waits_for_people() {
    let mut world = World::new();
    let _worker = world.worker(4).await;
    let run = world.run_for_ten_seconds(&[gated(step("echo", &[]))]).await;
    assert_eq!(world.ended(run).await, RunStatus::Failed);
    let reason = world.store.run(run).unwrap().reason;
    assert_eq!(reason.as_deref(), Some("run_timeout"));
    assert!(world.store.asked_gates(run).is_empty());
}
