//! Races on Postgres between several processes' worth of connections: whoever wins, one does, and nothing
//! is left in between.

use std::future::Future;
use std::sync::Arc;
use std::time::Duration;

use futures_util::StreamExt;
use neena_engine::Hash;
use neena_engine::ids::RunId;
use neena_engine::run::{Decision, Phase, Refused, RunStatus, Say, Then};
use neena_store::{Beat, Decided, Held, StoreError, Which};
use tokio::sync::Notify;
use uuid::Uuid;

use crate::harness::{
    Cluster, World, actor, approve, cancel, claim, completed, finish, reject, retry, then,
};

/// Rounds of each race.
const ROUNDS: usize = 200;
/// Rounds under way at a time.
const TOGETHER: usize = 8;

type Pair = [Arc<World>; 2];

/// Plays `round` so many times between two of three stores; fails on a deadlock.
async fn race<F, R>(rounds: usize, round: F)
where
    F: Fn(Pair) -> R,
    R: Future<Output = ()> + Send + 'static,
{
    let Some(cluster) = Cluster::of(3).await else {
        return;
    };
    let worlds = cluster.worlds.clone();
    let rounds = (0..rounds).map(|number| {
        let pair = [number % 3, (number + 1) % 3].map(|at| Arc::clone(&worlds[at]));
        tokio::spawn(round(pair))
    });
    let mut rounds = futures_util::stream::iter(rounds).buffer_unordered(TOGETHER);
    while let Some(round) = rounds.next().await {
        round.unwrap();
    }
    drop(rounds);
    assert_eq!(cluster.end().await, 0, "deadlocks");
}

/// Both at once, on tasks of their own.
async fn both<A, B>(
    a: impl Future<Output = A> + Send + 'static,
    b: impl Future<Output = B> + Send + 'static,
) -> (A, B)
where
    A: Send + 'static,
    B: Send + 'static,
{
    let (a, b) = (tokio::spawn(a), tokio::spawn(b));
    (a.await.unwrap(), b.await.unwrap())
}

fn done(decided: &Decided) -> bool {
    matches!(decided, Decided::Done { .. })
}

async fn decides(world: Arc<World>, run: RunId, decision: Decision) -> Decided {
    world.decide(run, decision).await
}

fn count(kinds: &[String], kind: &str) -> usize {
    kinds.iter().filter(|of| *of == kind).count()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn of_approve_and_cancel_the_cancel_stands() {
    race(ROUNDS, |[a, b]| async move {
        let run = a.waiting(1, 1).await;
        let (approved, cancelled) = both(
            decides(a.clone(), run, approve(1)),
            decides(b, run, cancel(2)),
        )
        .await;
        assert!(done(&cancelled), "{cancelled:?}");
        let events = a.outbox(run).await;
        assert_eq!(
            count(&events, "flow_run.approved"),
            usize::from(done(&approved))
        );
        assert_eq!(count(&events, "flow_run.cancelled"), 1);
        assert_eq!(a.row(run).await.status, "cancelled");
        assert!(a.take(run).await.is_none());
    })
    .await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn of_approve_and_reject_the_first_wins() {
    race(ROUNDS, |[a, b]| async move {
        let run = a.waiting(1, 1).await;
        let (approved, rejected) = both(
            decides(a.clone(), run, approve(1)),
            decides(b, run, reject(2)),
        )
        .await;
        assert_ne!(done(&approved), done(&rejected));
        let status = if done(&approved) {
            "in_progress"
        } else {
            "cancelled"
        };
        assert_eq!(a.row(run).await.status, status);
        assert_eq!(a.outbox(run).await.len(), 1);
    })
    .await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn an_approval_of_another_plan_never_counts() {
    race(ROUNDS, |[a, b]| async move {
        let run = a.waiting(1, 1).await;
        let other = Decision::Approve(Say::of_run(actor(1), Some(Hash::of(b"another"))));
        let (wrong, right) =
            both(decides(a.clone(), run, other), decides(b, run, approve(2))).await;
        assert!(
            matches!(wrong, Decided::Refused(Refused::StalePlan)),
            "{wrong:?}"
        );
        assert!(done(&right));
        assert_eq!(a.outbox(run).await, ["flow_run.approved"]);
    })
    .await;
}

async fn cancel_and_finish([a, b]: Pair) {
    let held = a.held().await;
    let run = held.run;
    let (owner, theirs) = (a.clone(), held.clone());
    let ending = async move {
        let rows = vec![completed(theirs.run, 0, "done")];
        owner
            .record(&theirs, then(rows, finish(RunStatus::Completed)))
            .await
    };
    let (verdict, cancelled) = both(ending, decides(b, run, cancel(2))).await;
    assert!(verdict.held);
    assert_ne!(verdict.applied, done(&cancelled), "{cancelled:?}");
    // The outcome is kept either way.
    assert_eq!(a.tasks(run).await, [(0, "completed", 1, 0)]);
    if verdict.applied {
        assert_eq!(a.row(run).await.status, "completed");
        assert_eq!(count(&a.outbox(run).await, "flow_run.completed"), 1);
        return;
    }
    assert_eq!(verdict.phase, Phase::Closing);
    let closed = a
        .record(&held, then(vec![], Then::Close { body: "x".into() }))
        .await;
    assert!(closed.applied);
    assert_eq!(a.row(run).await.status, "cancelled");
    assert_eq!(count(&a.outbox(run).await, "flow_run.cancelled"), 1);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn of_cancel_and_finish_one_stands() {
    race(ROUNDS, cancel_and_finish).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
#[ignore = "ten thousand rounds take minutes"]
async fn of_ten_thousand_cancels_and_finishes_one_stands() {
    race(10_000, cancel_and_finish).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn of_two_claims_each_run_goes_to_one() {
    race(ROUNDS, |[a, b]| async move {
        let mut runs = Vec::new();
        for _ in 0..3 {
            runs.push(a.ready().await);
        }
        let (mine, mut theirs) = (runs.clone(), runs.clone());
        theirs.reverse();
        let take = |world: Arc<World>, runs: Vec<_>| async move {
            let worker = world.worker(Duration::from_secs(60)).await;
            let call = claim(worker);
            world.store.claim(&call, Which::Named(&runs)).await.unwrap()
        };
        let (one, two) = both(take(a.clone(), mine), take(b, theirs)).await;
        let mut taken: Vec<_> = one.iter().chain(&two).map(|held: &Held| held.run).collect();
        taken.sort_unstable();
        runs.sort_unstable();
        assert_eq!(taken, runs);
        assert!(one.iter().chain(&two).all(|held| held.epoch == 1));
    })
    .await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn of_a_burial_and_a_batch_one_is_first() {
    race(ROUNDS, |[a, b]| async move {
        let lapsed = a.worker(Duration::ZERO).await;
        let run = a.ready().await;
        // A keeper of another round may have buried the worker already.
        let Some(held) = a.take_as(lapsed, run).await else {
            return;
        };
        let (owner, theirs) = (a.clone(), held.clone());
        let ending = async move {
            let rows = vec![completed(theirs.run, 0, "done")];
            owner
                .record(&theirs, then(rows, finish(RunStatus::Completed)))
                .await
        };
        let bury = async move { b.store.bury(500).await.unwrap() };
        let (verdict, _) = both(ending, bury).await;
        if verdict.held {
            assert!(verdict.applied);
            assert_eq!(a.row(run).await.status, "completed");
            assert!(a.take(run).await.is_none());
        } else {
            assert_eq!(a.tasks(run).await, []);
            assert_eq!(a.take(run).await.unwrap().epoch, 2);
        }
    })
    .await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn of_a_renewal_and_a_burial_one_is_first() {
    race(ROUNDS, |[a, b]| async move {
        let lapsed = a.worker(Duration::ZERO).await;
        let run = a.ready().await;
        if a.take_as(lapsed, run).await.is_none() {
            return;
        }
        let beat = {
            let a = a.clone();
            async move { a.store.beat(lapsed, Duration::from_secs(60)).await.unwrap() }
        };
        let bury = async move { b.store.bury(500).await.unwrap() };
        let (beat, _) = both(beat, bury).await;
        match beat {
            Beat::Alive { .. } => assert!(a.take(run).await.is_none()),
            Beat::Dead => {
                // Its burial may still be freeing what it held.
                let deadline = tokio::time::Instant::now() + Duration::from_secs(10);
                let held = loop {
                    a.store.bury(500).await.unwrap();
                    if let Some(held) = a.take(run).await {
                        break held;
                    }
                    assert!(tokio::time::Instant::now() < deadline, "nobody freed it");
                };
                assert_eq!(held.epoch, 2);
            }
        }
    })
    .await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn of_two_retries_one_opens_a_round() {
    race(ROUNDS, |[a, b]| async move {
        let held = a.held().await;
        let run = held.run;
        a.record(&held, then(vec![], finish(RunStatus::Failed)))
            .await;
        let (one, two) = both(decides(a.clone(), run, retry(1)), decides(b, run, retry(2))).await;
        assert_ne!(done(&one), done(&two), "{one:?} {two:?}");
        assert_eq!(a.row(run).await.round, 2);
        assert_eq!(count(&a.outbox(run).await, "flow_run.resumed"), 1);
    })
    .await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn of_a_cancel_and_a_claim_the_owner_hears_or_there_is_none() {
    race(ROUNDS, |[a, b]| async move {
        let run = a.ready().await;
        let taking = {
            let a = a.clone();
            async move { a.take(run).await }
        };
        let (held, cancelled) = both(taking, decides(b, run, cancel(2))).await;
        assert!(done(&cancelled), "{cancelled:?}");
        assert_eq!(a.row(run).await.status, "cancelled");
        match held {
            // Taken first: the cancel found its owner.
            Some(held) => {
                let verdict = a
                    .record(&held, then(vec![], finish(RunStatus::Completed)))
                    .await;
                assert!(verdict.held && !verdict.applied);
                assert_eq!(verdict.phase, Phase::Closing);
            }
            None => assert!(a.take(run).await.is_none()),
        }
    })
    .await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn two_keepers_wake_a_run_once() {
    race(ROUNDS, |[a, b]| async move {
        let held = a.held().await;
        let run = held.run;
        let park = Then::Park {
            wake_at: Some(neena_engine::Micros(1)),
            reason: None,
        };
        assert!(a.record(&held, then(vec![], park)).await.applied);
        let wake = |world: Arc<World>| async move { world.store.wake(500).await.unwrap() };
        let (one, two) = both(wake(a.clone()), wake(b)).await;
        let times = one.iter().chain(&two).filter(|of| of.run == run).count();
        assert!(times <= 1);
        // A keeper of another round may have been first, and may not have committed yet.
        let woken = async || count(&a.outbox(run).await, "flow_run.resumed");
        let deadline = tokio::time::Instant::now() + Duration::from_secs(10);
        while woken().await == 0 {
            assert!(tokio::time::Instant::now() < deadline, "nobody woke it");
            tokio::task::yield_now().await;
        }
        assert_eq!(woken().await, 1);
        assert!(a.take(run).await.is_some());
    })
    .await;
}

async fn sixteen_approvals([a, b]: Pair) {
    let run = a.waiting(1, 1).await;
    let votes = (1..=16).map(|name| {
        let world = if name % 2 == 0 { a.clone() } else { b.clone() };
        // Half of them are the same person.
        tokio::spawn(decides(world, run, approve(name.min(9))))
    });
    let mut won = 0;
    for vote in votes.collect::<Vec<_>>() {
        match vote.await.unwrap() {
            Decided::Done { .. } => won += 1,
            Decided::AlreadySo | Decided::Refused(Refused::Conflict(_)) => {}
            other => panic!("{other:?}"),
        }
    }
    assert_eq!(won, 1);
    assert_eq!(a.outbox(run).await, ["flow_run.approved"]);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn of_sixteen_approvals_one_wins() {
    race(60, sixteen_approvals).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
#[ignore = "a thousand runs take minutes"]
async fn of_sixteen_approvals_of_a_thousand_runs_one_wins_each() {
    race(1_000, sixteen_approvals).await;
}

/// Runs of one flow share their graph's row: who makes one must not wait for the commits of others.
#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn making_runs_of_one_flow_waits_for_nobody() {
    let Some(cluster) = Cluster::of(2).await else {
        return;
    };
    let [a, b] = [&cluster.worlds[0], &cluster.worlds[1]];
    a.waiting(1, 1).await;
    let (entered, leave) = (Arc::new(Notify::new()), Arc::new(Notify::new()));
    let slow = tokio::spawn({
        let (a, entered, leave) = (a.clone(), entered.clone(), leave.clone());
        let new = a.new_run(RunId(Uuid::now_v7()), 1, 1);
        async move {
            let db = a.db().unwrap();
            db.unit::<(), StoreError, _>(|tx| {
                Box::pin(async move {
                    neena_store::insert_run(tx, &new).await?;
                    entered.notify_one();
                    leave.notified().await;
                    Ok(())
                })
            })
            .await
        }
    });
    entered.notified().await;
    // Its lock would be waited for two seconds, and then the call would fail.
    b.waiting(1, 1).await;
    leave.notify_one();
    slow.await.unwrap().unwrap();
    assert_eq!(cluster.end().await, 0);
}

/// A burial that began before a worker joined must not take what that worker has claimed meanwhile.
#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn a_burial_takes_nothing_from_who_is_alive() {
    race(ROUNDS, |[a, b]| async move {
        let lapsed = a.worker(Duration::ZERO).await;
        let run = a.ready().await;
        if a.take_as(lapsed, run).await.is_none() {
            return;
        }
        let bury = |world: Arc<World>| async move {
            for _ in 0..3 {
                world.store.bury(500).await.unwrap();
            }
        };
        let taking = {
            let a = a.clone();
            async move {
                let deadline = tokio::time::Instant::now() + Duration::from_secs(10);
                loop {
                    if let Some(held) = a.take(run).await {
                        return held;
                    }
                    assert!(tokio::time::Instant::now() < deadline, "nobody freed it");
                }
            }
        };
        let burying = both(bury(a.clone()), bury(b));
        let (held, _) = both(taking, burying).await;
        let still = a.store.reread(run, held.claim).await.unwrap();
        assert!(still.is_some(), "taken from a worker that is alive");
        assert_eq!(held.epoch, 2);
    })
    .await;
}
