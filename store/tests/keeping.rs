//! What keepers do: wake, bury, find what is forgotten.

use std::time::Duration;

use neena_engine::Micros;
use neena_engine::run::{Phase, Then};
use neena_store::{Beat, Message};

use crate::harness::{World, cancel, completed, hold, kinds, on_every_store, started, then};

on_every_store! {
    only_what_is_due_wakes,
    a_run_parked_for_a_signal_sleeps_on,
    the_lapsed_are_buried_and_their_runs_freed,
    what_a_dead_worker_claims_is_freed_again,
    after_a_crash_every_run_is_freed_and_loaded,
    forgotten_messages_are_taken_once,
    published_messages_are_gone,
    a_limit_leaves_the_rest_for_later,
}

async fn park(world: &World, wake_at: Option<Micros>) -> neena_engine::ids::RunId {
    let held = world.held().await;
    let verdict = world
        .record(
            &held,
            then(
                vec![],
                Then::Park {
                    wake_at,
                    reason: None,
                },
            ),
        )
        .await;
    assert!(verdict.applied);
    held.run
}

async fn only_what_is_due_wakes(world: World) {
    let now = world.now().await;
    let due = park(&world, Some(now)).await;
    let later = park(&world, Some(now.after(Duration::from_secs(3_600)))).await;
    let woken = world.store.wake(10).await.unwrap();
    assert_eq!(
        woken.iter().map(|message| message.run).collect::<Vec<_>>(),
        [due]
    );
    assert_eq!(kinds(&woken), ["flow_run.resumed"]);
    assert!(woken[0].wakes_workers());
    assert_eq!(world.store.wake(10).await.unwrap(), []);
    assert!(world.take(due).await.is_some());
    assert!(world.take(later).await.is_none());
}

async fn a_run_parked_for_a_signal_sleeps_on(world: World) {
    let run = park(&world, None).await;
    assert_eq!(world.store.wake(10).await.unwrap(), []);
    assert!(world.take(run).await.is_none());
    world.decide(run, cancel(1)).await;
    assert_eq!(world.take(run).await.unwrap().phase, Phase::Closing);
}

async fn the_lapsed_are_buried_and_their_runs_freed(world: World) {
    let lapsed = world.worker(Duration::ZERO).await;
    let run = world.ready().await;
    let held = world.take_as(lapsed, run).await.unwrap();
    let alive = world.held().await;
    world.next_moment().await;
    let freed = world.store.bury(10).await.unwrap();
    assert_eq!(
        freed.iter().map(|message| message.run).collect::<Vec<_>>(),
        [run]
    );
    assert!(matches!(
        world
            .store
            .beat(lapsed, Duration::from_secs(9))
            .await
            .unwrap(),
        Beat::Dead
    ));
    assert!(!world.record(&held, hold(vec![started(run, 0)])).await.held);
    assert!(
        world
            .record(&alive, hold(vec![started(alive.run, 0)]))
            .await
            .held
    );
    assert_eq!(world.take(run).await.unwrap().claims, 2);
}

async fn what_a_dead_worker_claims_is_freed_again(world: World) {
    let lapsed = world.worker(Duration::ZERO).await;
    world.next_moment().await;
    world.store.bury(10).await.unwrap();
    let run = world.ready().await;
    assert!(world.take_as(lapsed, run).await.is_some());
    let freed = world.store.bury(10).await.unwrap();
    assert_eq!(freed.len(), 1);
    assert!(world.take(run).await.is_some());
}

async fn after_a_crash_every_run_is_freed_and_loaded(world: World) {
    let first = world.held().await;
    world
        .record(
            &first,
            hold(vec![completed(first.run, 0, "kept"), started(first.run, 1)]),
        )
        .await;
    let second = world.held().await;
    world.decide(second.run, cancel(1)).await;
    let mut freed: Vec<_> = world
        .store
        .bury_all()
        .await
        .unwrap()
        .into_iter()
        .map(|message| message.run)
        .collect();
    freed.sort_unstable();
    assert_eq!(freed, [first.run, second.run]);
    assert_eq!(world.store.bury_all().await.unwrap(), []);
    let again = world.take(first.run).await.unwrap();
    assert_eq!(
        (again.epoch, again.claims, again.phase),
        (2, 2, Phase::Running)
    );
    assert_eq!(world.take(second.run).await.unwrap().phase, Phase::Closing);
    let tasks = world.tasks(first.run).await;
    assert_eq!(tasks, [(0, "completed", 1, 0), (1, "in_progress", 1, 0)]);
}

async fn forgotten_messages_are_taken_once(world: World) {
    let run = world.ready().await;
    // The process that wrote it has a head start.
    assert_eq!(world.store.outbox_take(10).await.unwrap(), []);
    world.let_messages_grow_old().await;
    let found = world.store.outbox_take(10).await.unwrap();
    assert_eq!(
        (found[0].run, found[0].kind.as_str()),
        (run, Message::APPROVED)
    );
    assert_eq!(world.store.outbox_take(10).await.unwrap(), []);
    assert_eq!(world.outbox(run).await.len(), 1);
}

async fn published_messages_are_gone(world: World) {
    let run = world.ready().await;
    world.let_messages_grow_old().await;
    let ids: Vec<_> = world
        .store
        .outbox_take(10)
        .await
        .unwrap()
        .iter()
        .map(|message| message.id)
        .collect();
    world.store.outbox_done(&ids).await.unwrap();
    world.store.outbox_done(&ids).await.unwrap();
    world.store.outbox_done(&[]).await.unwrap();
    assert_eq!(world.outbox(run).await.len(), 0);
}

async fn a_limit_leaves_the_rest_for_later(world: World) {
    for _ in 0..5 {
        park(&world, Some(Micros(1))).await;
    }
    assert_eq!(world.store.wake(3).await.unwrap().len(), 3);
    assert_eq!(world.store.wake(3).await.unwrap().len(), 2);
    world.let_messages_grow_old().await;
    assert_eq!(world.store.outbox_take(4).await.unwrap().len(), 4);
}
