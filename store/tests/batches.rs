//! Batches of entries that each want something else: every one gets it, whatever stands beside it.

use std::time::Duration;

use neena_engine::approval::{AskState, Policy};
use neena_engine::run::{Attempt, Phase, RunStatus, TaskKey, Then};
use neena_engine::{Json, Micros};
use neena_store::{Batch, Entry, Verdict};

use crate::harness::{
    World, approve, completed, entry, finish, hold, on_every_store, pending, reaching, started,
    then,
};

on_every_store! {
    a_batch_of_every_kind_does_all_of_it,
    many_runs_that_end_at_a_gate_they_just_reached_ask_nobody,
    outcomes_of_runs_that_go_on_are_fenced_one_by_one,
}

async fn commit(world: &World, entries: Vec<Entry>) -> Vec<Verdict> {
    let batch = Batch {
        entries,
        durable: true,
    };
    world.store.commit(&batch).await.unwrap()
}

/// A run whose task 1 asks, held.
async fn asking(world: &World) -> neena_store::Held {
    let policy = Policy::quorum(1);
    let run = world.asking(policy.clone(), &[(1, policy)]).await;
    world.decide(run, approve(1)).await;
    world.take(run).await.unwrap()
}

async fn a_batch_of_every_kind_does_all_of_it(world: World) {
    let (goes_on, given_back, over, tries_again) = (
        world.held().await,
        world.held().await,
        world.held().await,
        world.held().await,
    );
    let asks = asking(&world).await;
    let park = Then::Park {
        wake_at: None,
        reason: Some("approval of `task 1`".into()),
    };
    let mut again = hold(vec![pending(tries_again.run, 1, Micros(3))]);
    again.attempts.push(Attempt {
        key: TaskKey {
            index: 1,
            item: None,
        },
        attempt: 1,
        start_time: Some(Micros(1)),
        end_time: Some(Micros(2)),
        error: Json::trusted(r#"{"type":"timeout","message":"too slow"}"#),
    });
    let reached = reaching(&[(1, &Policy::quorum(1))], world.now().await, park);
    let verdicts = commit(
        &world,
        vec![
            entry(&goes_on, 0, hold(vec![completed(goes_on.run, 0, "done")])),
            entry(
                &given_back,
                0,
                then(vec![started(given_back.run, 0)], Then::Yield),
            ),
            entry(
                &over,
                0,
                then(
                    vec![completed(over.run, 0, "done")],
                    finish(RunStatus::Completed),
                ),
            ),
            entry(&tries_again, 0, again),
            entry(&asks, asks.inbox_seq, reached),
        ],
    )
    .await;
    assert!(
        verdicts
            .iter()
            .all(|verdict| verdict.held && verdict.applied)
    );
    assert_eq!(world.tasks(goes_on.run).await, [(0, "completed", 1, 0)]);
    assert_eq!(world.row(goes_on.run).await.status, "in_progress");
    assert_eq!(world.take(given_back.run).await.unwrap().epoch, 2);
    assert_eq!(world.row(over.run).await.status, "completed");
    assert_eq!(world.attempts(tries_again.run).await, [(1, 1, 1)]);
    let gates = world.store.gates(asks.run).await.unwrap();
    assert_eq!(gates[0].state, AskState::Open);
    assert_eq!(
        world.row(asks.run).await.reason.as_deref(),
        Some("approval of `task 1`")
    );
}

/// More than ride in one text: what is taken back must not overtake what is put.
async fn many_runs_that_end_at_a_gate_they_just_reached_ask_nobody(world: World) {
    let mut entries = Vec::new();
    for _ in 0..30 {
        let held = asking(&world).await;
        let end = finish(RunStatus::Failed);
        let record = reaching(&[(1, &Policy::quorum(1))], world.now().await, end);
        entries.push(entry(&held, held.inbox_seq, record));
    }
    let runs: Vec<_> = entries.iter().map(|entry| entry.run).collect();
    let verdicts = commit(&world, entries).await;
    assert!(verdicts.iter().all(|verdict| verdict.applied));
    for run in runs {
        assert_eq!(world.row(run).await.status, "failed");
        assert!(world.store.gates(run).await.unwrap().is_empty());
    }
    world.let_asks_age(Duration::from_secs(7_200)).await;
    assert!(world.store.lapsed(9).await.unwrap().is_empty());
}

/// Once the start is noted a batch of outcomes needs the fence and nothing else.
async fn outcomes_of_runs_that_go_on_are_fenced_one_by_one(world: World) {
    let (ours, lost) = (world.held().await, world.held().await);
    let of = |index| {
        let rows = |held: &neena_store::Held| hold(vec![completed(held.run, index, "done")]);
        vec![entry(&ours, 0, rows(&ours)), entry(&lost, 0, rows(&lost))]
    };
    assert!(commit(&world, of(0)).await.iter().all(|one| one.held));
    let back = entry(&lost, 0, then(Vec::new(), Then::Yield));
    assert!(commit(&world, vec![back]).await[0].applied);
    let verdicts = commit(&world, of(1)).await;
    assert!(verdicts[0].held && verdicts[0].applied && verdicts[0].phase == Phase::Running);
    assert!(!verdicts[1].held);
    assert_eq!(world.tasks(ours.run).await.len(), 2);
    assert_eq!(world.tasks(lost.run).await, [(0, "completed", 1, 0)]);
    let end = then(Vec::new(), finish(RunStatus::Completed));
    assert!(commit(&world, vec![entry(&ours, 0, end)]).await[0].applied);
    assert_eq!(world.row(ours.run).await.status, "completed");
}
