//! Taking runs: one of many gets one, and what it may take.

use std::time::Duration;

use neena_engine::run::{Phase, RunStatus, Then};
use neena_store::{Beat, Claim, Decided, Which};

use crate::harness::{
    World, approve, cancel, claim, completed, finish, hold, on_every_store, started, then,
};

on_every_store! {
    only_an_approved_run_can_be_claimed,
    of_many_claimers_one_gets_the_run,
    next_takes_the_oldest_ready_runs,
    a_claim_moves_the_epoch_and_the_same_call_again_changes_nothing,
    a_plan_of_a_newer_format_is_left_to_others,
    a_beat_renews_and_lists_what_is_owned,
    leaving_gives_every_run_back,
    a_run_is_reread_only_under_its_claim,
    a_suspect_is_taken_alone,
    progress_clears_a_suspicion,
    a_cancelled_run_that_was_held_is_claimed_to_be_cleaned_up,
    a_closing_run_that_has_an_owner_is_not_taken,
    each_run_of_one_claim_notes_its_start,
}

async fn only_an_approved_run_can_be_claimed(world: World) {
    let run = world.waiting(1, 1).await;
    assert!(world.take(run).await.is_none());
    world.decide(run, approve(1)).await;
    let held = world.take(run).await.unwrap();
    assert_eq!(
        (held.run, held.epoch, held.claims, held.phase),
        (run, 1, 1, Phase::Running)
    );
    assert_eq!(held.approved_hash, Some(held.plan_hash));
    assert!(held.deadline_at.is_some());
    assert!(world.take(run).await.is_none());
}

async fn of_many_claimers_one_gets_the_run(world: World) {
    for _ in 0..20 {
        let run = world.ready().await;
        let mut claims = Vec::new();
        for _ in 0..8 {
            claims.push(claim(world.worker(Duration::from_secs(10)).await));
        }
        let runs = [run];
        let calls = claims
            .iter()
            .map(|claim| world.store.claim(claim, Which::Named(&runs)));
        let taken: usize = futures_util::future::join_all(calls)
            .await
            .into_iter()
            .map(|taken| taken.unwrap().len())
            .sum();
        assert_eq!(taken, 1);
    }
}

async fn next_takes_the_oldest_ready_runs(world: World) {
    let mut runs = Vec::new();
    for _ in 0..5 {
        runs.push(world.ready().await);
        world.next_moment().await;
    }
    let worker = world.worker(Duration::from_secs(10)).await;
    let next = |limit| {
        let (store, claim) = (&world.store, claim(worker));
        async move {
            let held = store.claim(&claim, Which::Next(limit)).await.unwrap();
            let mut runs: Vec<_> = held.iter().map(|held| held.run).collect();
            runs.sort_unstable();
            runs
        }
    };
    assert_eq!(next(2).await, runs[..2]);
    assert_eq!(next(10).await, runs[2..]);
    assert_eq!(next(10).await, []);
    assert_eq!(next(0).await, []);
}

async fn a_claim_moves_the_epoch_and_the_same_call_again_changes_nothing(world: World) {
    let run = world.ready().await;
    let worker = world.worker(Duration::from_secs(10)).await;
    let call = claim(worker);
    let first = world
        .store
        .claim(&call, Which::Named(&[run]))
        .await
        .unwrap();
    assert_eq!(first[0].epoch, 1);
    let again = world
        .store
        .claim(&call, Which::Named(&[run]))
        .await
        .unwrap();
    assert!(again.is_empty());
    // What a lost answer took is found by the next beat, under the claim's own id.
    let Beat::Alive { held, .. } = world
        .store
        .beat(worker, Duration::from_secs(10))
        .await
        .unwrap()
    else {
        panic!("dead")
    };
    assert_eq!(
        (held[0].run, held[0].claim, held[0].epoch),
        (run, call.id, 1)
    );
}

async fn a_plan_of_a_newer_format_is_left_to_others(world: World) {
    let run = world.ready().await;
    let mut old = claim(world.worker(Duration::from_secs(10)).await);
    old.plan_v = 0;
    assert!(
        world
            .store
            .claim(&old, Which::Named(&[run]))
            .await
            .unwrap()
            .is_empty()
    );
    assert!(
        world
            .store
            .claim(&old, Which::Next(10))
            .await
            .unwrap()
            .is_empty()
    );
}

async fn a_beat_renews_and_lists_what_is_owned(world: World) {
    let worker = world.worker(Duration::ZERO).await;
    let (mine, other) = (world.ready().await, world.ready().await);
    world.take_as(worker, mine).await.unwrap();
    world.take(other).await.unwrap();
    let beat = world
        .store
        .beat(worker, Duration::from_secs(10))
        .await
        .unwrap();
    let Beat::Alive { held, .. } = beat else {
        panic!("dead")
    };
    assert_eq!(held.iter().map(|held| held.run).collect::<Vec<_>>(), [mine]);
    // Renewed: nobody is to be buried, though the first lease was over at once.
    world.next_moment().await;
    assert_eq!(world.store.bury(10).await.unwrap(), []);
}

async fn leaving_gives_every_run_back(world: World) {
    let worker = world.worker(Duration::from_secs(10)).await;
    let run = world.ready().await;
    let held = world.take_as(worker, run).await.unwrap();
    world.store.leave(worker).await.unwrap();
    world.store.leave(worker).await.unwrap();
    assert!(matches!(
        world
            .store
            .beat(worker, Duration::from_secs(10))
            .await
            .unwrap(),
        Beat::Dead
    ));
    assert!(!world.record(&held, hold(vec![started(run, 0)])).await.held);
    let again = world.take(run).await.unwrap();
    assert_eq!((again.epoch, again.claims), (2, 1));
    assert!(
        world
            .outbox(run)
            .await
            .contains(&"flow_run.resumed".to_owned())
    );
}

async fn a_run_is_reread_only_under_its_claim(world: World) {
    let held = world.held().await;
    let read = world
        .store
        .reread(held.run, held.claim)
        .await
        .unwrap()
        .unwrap();
    assert_eq!(
        (read.phase, read.inbox_seq),
        (Phase::Running, held.inbox_seq)
    );
    world.decide(held.run, cancel(1)).await;
    let read = world
        .store
        .reread(held.run, held.claim)
        .await
        .unwrap()
        .unwrap();
    assert_eq!(
        (read.phase, read.inbox_seq),
        (Phase::Closing, held.inbox_seq + 1)
    );
    let stale = claim(world.worker(Duration::from_secs(10)).await).id;
    assert!(world.store.reread(held.run, stale).await.unwrap().is_none());
}

/// A run that was claimed `times` times by workers that all died with it.
async fn suspect(world: &World, times: usize) -> neena_engine::ids::RunId {
    let run = world.ready().await;
    for _ in 0..times {
        world.take(run).await.unwrap();
        world.store.bury_all().await.unwrap();
    }
    run
}

async fn a_suspect_is_taken_alone(world: World) {
    let suspects = [suspect(&world, 2).await, suspect(&world, 2).await];
    let healthy = world.ready().await;
    let worker = world.worker(Duration::from_secs(10)).await;
    let all = [suspects[0], suspects[1], healthy];
    let taken = world
        .store
        .claim(&claim(worker), Which::Named(&all))
        .await
        .unwrap();
    let count = |runs: &[neena_engine::ids::RunId]| {
        taken.iter().filter(|held| runs.contains(&held.run)).count()
    };
    assert_eq!((count(&[healthy]), count(&suspects)), (1, 1), "{taken:?}");
    let none = Claim {
        suspect: false,
        ..claim(worker)
    };
    assert!(
        world
            .store
            .claim(&none, Which::Next(10))
            .await
            .unwrap()
            .is_empty()
    );
    let other = world.worker(Duration::from_secs(10)).await;
    let rest = world
        .store
        .claim(&claim(other), Which::Next(10))
        .await
        .unwrap();
    assert_eq!(rest.iter().map(|held| held.claims).collect::<Vec<_>>(), [3]);
}

async fn progress_clears_a_suspicion(world: World) {
    let run = suspect(&world, 2).await;
    let held = world.take(run).await.unwrap();
    assert_eq!(held.claims, 3);
    world.record(&held, hold(vec![started(run, 0)])).await;
    assert_eq!(
        world
            .store
            .reread(run, held.claim)
            .await
            .unwrap()
            .unwrap()
            .claims,
        3
    );
    world
        .record(&held, hold(vec![completed(run, 0, "done")]))
        .await;
    assert_eq!(
        world
            .store
            .reread(run, held.claim)
            .await
            .unwrap()
            .unwrap()
            .claims,
        0
    );
}

async fn a_cancelled_run_that_was_held_is_claimed_to_be_cleaned_up(world: World) {
    let held = world.held().await;
    world.store.bury_all().await.unwrap();
    let Decided::Done { outbox, poke, .. } = world.decide(held.run, cancel(1)).await else {
        panic!("refused")
    };
    assert_eq!(outbox[0].kind, "flow_run.cancel_requested");
    assert_eq!(poke, None);
    let cleaner = world.take(held.run).await.unwrap();
    assert_eq!((cleaner.phase, cleaner.epoch), (Phase::Closing, 2));
    let ended = world
        .record(&cleaner, then(vec![], finish(RunStatus::Completed)))
        .await;
    assert!(ended.held && !ended.applied);
    let body = "cleaned up".into();
    assert!(
        world
            .record(&cleaner, then(vec![], Then::Close { body }))
            .await
            .applied
    );
    assert_eq!(world.row(held.run).await.status, "cancelled");
    assert_eq!(
        world.row(held.run).await.reason.as_deref(),
        Some("cancelled by 1@example.com")
    );
}

async fn a_closing_run_that_has_an_owner_is_not_taken(world: World) {
    let held = world.held().await;
    world.decide(held.run, cancel(1)).await;
    assert!(world.take(held.run).await.is_none());
    let claim = claim(world.worker(Duration::from_secs(10)).await);
    assert!(
        world
            .store
            .claim(&claim, Which::Next(10))
            .await
            .unwrap()
            .is_empty()
    );
    assert!(world.record(&held, hold(vec![])).await.held);
}

/// The start of the first was noted, and counted for all that had been claimed with it.
async fn each_run_of_one_claim_notes_its_start(world: World) {
    let runs = [world.ready().await, world.ready().await];
    let call = claim(world.worker(Duration::from_secs(10)).await);
    let held = world.store.claim(&call, Which::Named(&runs)).await.unwrap();
    assert_eq!(held.len(), 2);
    for held in held {
        world.record(&held, hold(vec![started(held.run, 0)])).await;
        assert!(world.row(held.run).await.started);
    }
}
