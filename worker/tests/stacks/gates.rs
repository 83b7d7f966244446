//! What a run's client sees of gates.

use std::time::{Duration, Instant};

use neena_engine::Json;
use neena_engine::approval::{AskState, OnExpiry, Policy};
use neena_engine::run::{Decision, RunStatus, Say, TaskStatus};
use serde_json::json;

use crate::plans::{Step, about, actor, gate, gated, step};
use crate::scripted::Scripted;
use crate::world::{World, until};

fn opened(index: u32) -> Decision {
    Decision::Approve(about(index))
}

fn shut(index: u32) -> Decision {
    Decision::Reject(about(index))
}

/// Where the gates stand that were reached.
async fn states(world: &World, run: neena_engine::ids::RunId) -> Vec<AskState> {
    let asks = world.store.gates(run).await.unwrap();
    asks.iter().map(|ask| ask.state).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_gated_run_costs_no_worker_and_goes_on_with_what_was_answered() {
    let world = World::new().await;
    let script = Scripted::new();
    let worker = world.worker(4, &script).await;
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
    until(async || worker.held() == 0).await;
    let reason = world.row(run).await.reason;
    assert_eq!(reason.as_deref(), Some("approval of `step 1`"));
    assert_eq!(script.seen().begun.len(), 1);
    let say = Say {
        answer: Some(Json::of(&json!({ "amount": 7 }))),
        ..about(1)
    };
    let since = Instant::now();
    world.decide(run, Decision::Approve(say)).await;
    assert_eq!(world.ended(run).await, RunStatus::Completed);
    assert!(since.elapsed() < Duration::from_secs(1), "it was told of");
    let rows = world.rows(run).await;
    let result = |index| rows[&index].result.as_ref().unwrap().text().to_owned();
    assert_eq!(result(1), r#"{"x":7}"#);
    assert_eq!(result(2), r#"{"x":8}"#);
    worker.stop().await;
    world.close().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn gates_in_parallel_branches_are_not_resumed_together() {
    let world = World::new().await;
    let script = Scripted::new();
    let worker = world.worker(4, &script).await;
    let steps = [
        gated(step("echo", &[])),
        gated(step("echo", &[])),
        step("echo", &[0]),
        step("echo", &[1]),
    ];
    for first in [0, 1] {
        let run = world.run_that_goes_on(&steps).await;
        world.parked(run).await;
        world.decide(run, opened(first)).await;
        until(async || {
            let rows = world.rows(run).await;
            let after = rows.get(&(first + 2));
            after.is_some_and(|row| row.status == TaskStatus::Completed)
        })
        .await;
        world.parked(run).await;
        let other = 1 - first;
        assert!(!world.rows(run).await.contains_key(&other));
        let ask = world.store.gates(run).await.unwrap()[other as usize].clone();
        assert_eq!((ask.subject, ask.state), (gate(other), AskState::Open));
        // One is rejected: its branch fails, and the other has gone on.
        world.decide(run, shut(other)).await;
        assert_eq!(world.ended(run).await, RunStatus::Failed);
        let rows = world.rows(run).await;
        let error = rows[&other].error.as_ref().unwrap().text();
        assert!(error.contains("gate_rejected"), "{error}");
        assert_eq!(rows[&(other + 2)].status, TaskStatus::Skipped);
    }
    worker.stop().await;
    world.close().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_answer_while_the_run_parks_is_not_lost() {
    let world = World::new().await;
    let script = Scripted::new();
    let worker = world.worker(4, &script).await;
    // The task ends, and the run would park, at about the moment of the answer: each time a little later.
    for round in 0..12_u32 {
        let run = world
            .run(&[gated(step("echo", &[])), step("gate", &[])])
            .await;
        until(async || !world.store.gates(run).await.unwrap().is_empty()).await;
        let begun = 2 * usize::try_from(round).unwrap() + 1;
        let so_far = || script.seen().begun.values().sum::<u32>() as usize;
        until(async || so_far() == begun).await;
        let since = Instant::now();
        script.gate.add_permits(1);
        tokio::time::sleep(Duration::from_micros(u64::from(round) * 500)).await;
        world.decide(run, opened(0)).await;
        assert_eq!(world.ended(run).await, RunStatus::Completed);
        let took = since.elapsed();
        assert!(took < Duration::from_secs(1), "{took:?} in round {round}");
    }
    worker.stop().await;
    world.close().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_gate_outlives_the_worker_that_asked() {
    for answered_first in [true, false] {
        let world = World::new().await;
        let (first, second) = (Scripted::new(), Scripted::new());
        let one = world.worker(4, &first).await;
        let run = world
            .run(&[gated(step("echo", &[])), step("gate", &[])])
            .await;
        until(async || !world.store.gates(run).await.unwrap().is_empty()).await;
        until(async || first.seen().begun.len() == 1).await;
        one.die();
        if answered_first {
            // Under the dead owner's claim.
            world.decide(run, opened(0)).await;
        }
        let two = world.worker(4, &second).await;
        second.gate.add_permits(1);
        if !answered_first {
            world.parked(run).await;
            until(async || two.held() == 0).await;
            assert_eq!(states(&world, run).await, [AskState::Open]);
            world.decide(run, opened(0)).await;
        }
        assert_eq!(world.ended(run).await, RunStatus::Completed);
        assert_eq!(second.seen().begun[&0], 1);
        two.stop().await;
        world.close().await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_gate_that_nobody_answers_closes_in_time() {
    let world = World::new().await;
    let script = Scripted::new();
    let worker = world.worker(4, &script).await;
    let closing = |on_expiry| Step {
        gate: Some(Policy {
            expires_in_ms: Some(1_000),
            on_expiry,
            ..Policy::quorum(1)
        }),
        ..step("echo", &[])
    };
    let mut runs = Vec::new();
    for on_expiry in [OnExpiry::Reject, OnExpiry::Escalate, OnExpiry::Approve] {
        runs.push(world.run(&[closing(on_expiry)]).await);
    }
    let expired = async |run| {
        assert_eq!(world.ended(run).await, RunStatus::Failed);
        let rows = world.rows(run).await;
        let error = rows[&0].error.as_ref().unwrap().text().to_owned();
        assert!(error.contains("gate_expired"), "{error}");
        assert_eq!(states(&world, run).await, [AskState::Expired]);
    };
    expired(runs[0]).await;
    expired(runs[1]).await;
    assert_eq!(world.ended(runs[2]).await, RunStatus::Completed);
    assert_eq!(script.seen().begun[&0], 1);
    worker.stop().await;
    world.close().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_cancel_takes_back_what_was_asked_and_a_new_round_asks_again() {
    let world = World::new().await;
    let script = Scripted::new();
    let worker = world.worker(4, &script).await;
    for other in ["echo", "hang"] {
        let run = world
            .run(&[gated(step("echo", &[])), step(other, &[])])
            .await;
        let asked = async || states(&world, run).await == [AskState::Open];
        until(asked).await;
        world.decide(run, Decision::Cancel { actor: actor() }).await;
        assert_eq!(world.ended(run).await, RunStatus::Cancelled);
        assert_eq!(states(&world, run).await, []);
        world.decide(run, Decision::Retry { actor: actor() }).await;
        until(asked).await;
        world.decide(run, shut(0)).await;
        if other == "hang" {
            // What is under way may finish, and does not.
            world.decide(run, Decision::Cancel { actor: actor() }).await;
            assert_eq!(world.ended(run).await, RunStatus::Cancelled);
        } else {
            assert_eq!(world.ended(run).await, RunStatus::Failed);
        }
        world.decide(run, Decision::Retry { actor: actor() }).await;
        until(asked).await;
        world.decide(run, Decision::Cancel { actor: actor() }).await;
        assert_eq!(world.ended(run).await, RunStatus::Cancelled);
    }
    assert_eq!(script.seen().begun.get(&0), None);
    worker.stop().await;
    world.close().await;
}
