//! How many commits each verb makes, durable and lazy: what a path costs is a sum of these.

use std::time::Duration;

use neena_engine::Micros;
use neena_engine::run::{Decision, Record, RunStatus, Say, Then};
use neena_store::{Batch, Held, Which};

use crate::harness::{
    World, actor, approve, cancel, claim, completed, entry, finish, gate, hold, reaching, stages,
    then,
};

/// Durable and lazy commits of `call`.
async fn cost<T>(world: &World, call: impl Future<Output = T>) -> (T, (u64, u64)) {
    let db = world.db().unwrap();
    let before = db.commits();
    let answer = call.await;
    let after = db.commits();
    (
        answer,
        (after.durable - before.durable, after.lazy - before.lazy),
    )
}

async fn lazily(world: &World, held: &Held, record: Record) {
    let batch = Batch {
        entries: vec![entry(held, held.inbox_seq, record)],
        durable: false,
    };
    assert!(world.store.commit(&batch).await.unwrap()[0].held);
}

async fn verbs(world: &World) {
    let lease = Duration::from_secs(60);
    let (run, made) = cost(world, world.waiting(3, 1)).await;
    assert_eq!(made, (1, 0), "create");
    assert_eq!(
        cost(world, world.decide(run, approve(1))).await.1,
        (1, 0),
        "approve"
    );
    let (worker, joined) = cost(world, world.worker(lease)).await;
    assert_eq!(joined, (1, 0), "join");
    let (held, claimed) = cost(world, world.take_as(worker, run)).await;
    let held = held.unwrap();
    assert_eq!(claimed, (0, 1), "claim");
    let call = claim(worker);
    let nothing = world.store.claim(&call, Which::Next(9));
    assert_eq!(cost(world, nothing).await.1, (0, 0), "a claim of nothing");
    assert_eq!(
        cost(world, world.store.beat(worker, lease)).await.1,
        (0, 1),
        "beat"
    );
    let reads = async {
        world.store.plan(run).await.unwrap();
        world.store.load(run).await.unwrap();
        world.store.reread(run, held.claim).await.unwrap();
        world.store.current(&[(run, 1)]).await.unwrap();
        world.store.roster().await.unwrap();
        world.store.due_within(lease, 9).await.unwrap();
        world.store.census().await.unwrap();
    };
    assert_eq!(cost(world, reads).await.1, (0, 0), "reads");
    let row = |index| hold(vec![completed(run, index, "done")]);
    assert_eq!(
        cost(world, lazily(world, &held, row(0))).await.1,
        (0, 1),
        "a lazy batch"
    );
    assert_eq!(
        cost(world, world.record(&held, row(1))).await.1,
        (1, 0),
        "a durable batch"
    );
    let idle = async {
        world.store.wake(9).await.unwrap();
        world.store.bury(9).await.unwrap();
        world.store.outbox_take(9).await.unwrap();
        world.store.outbox_done(&[]).await.unwrap();
    };
    assert_eq!(
        cost(world, idle).await.1,
        (0, 0),
        "a keeper with nothing to do"
    );
    gates(world, &held).await;
    let wake_at = Some(Micros(1));
    let park = then(
        vec![],
        Then::Park {
            wake_at,
            reason: None,
        },
    );
    assert_eq!(
        cost(world, world.record(&held, park)).await.1,
        (1, 0),
        "park"
    );
    assert_eq!(cost(world, world.store.wake(9)).await.1, (0, 1), "wake");
    let held = world.take_as(worker, run).await.unwrap();
    assert_eq!(
        cost(world, world.decide(run, cancel(1))).await.1,
        (1, 0),
        "cancel"
    );
    let close = then(vec![], Then::Close { body: "x".into() });
    assert_eq!(
        cost(world, world.record(&held, close)).await.1,
        (1, 0),
        "close"
    );
    world.let_messages_grow_old().await;
    let (taken, took) = cost(world, world.store.outbox_take(9)).await;
    assert_eq!(took, (0, 1), "leftovers");
    let ids: Vec<_> = taken.unwrap().iter().map(|message| message.id).collect();
    assert_eq!(
        cost(world, world.store.outbox_done(&ids)).await.1,
        (0, 1),
        "published"
    );
    assert_eq!(
        cost(world, world.store.leave(worker)).await.1,
        (1, 0),
        "leave"
    );
}

/// Asking rides along with a record; every answer is one durable commit, and so is a refusal, which is noted.
async fn gates(world: &World, held: &Held) {
    let policy = stages(&[("team", 2, "1@example.com 2@example.com")]);
    let now = world.now().await;
    let reached = world.record(held, reaching(&[(1, &policy)], now, Then::Hold));
    assert_eq!(cost(world, reached).await.1, (1, 0), "a gate is reached");
    let gated = world.gated(&policy).await;
    for (name, told) in [(1, "a vote"), (4, "a refusal"), (2, "the last vote")] {
        let say = Say {
            on: gate(1),
            ..Say::of_run(actor(name), None)
        };
        let vote = world.decide(gated.run, Decision::Approve(say));
        assert_eq!(cost(world, vote).await.1, (1, 0), "{told}");
    }
    let reads = async {
        world.store.gates(gated.run).await.unwrap();
        world.store.lapsed(9).await.unwrap();
    };
    assert_eq!(cost(world, reads).await.1, (0, 0), "reads of gates");
    assert_eq!(cost(world, world.store.seal(99)).await.1, (1, 0), "seal");
    assert_eq!(
        cost(world, world.store.seal(99)).await.1,
        (0, 0),
        "a sealer with nothing to do"
    );
}

/// A takeover is one durable commit for all that a dead worker held: what it recorded lazily is on the disk
/// before anybody builds on it.
async fn takeover(world: &World) {
    let lapsed = world.worker(Duration::ZERO).await;
    for _ in 0..3 {
        let run = world.ready().await;
        let held = world.take_as(lapsed, run).await.unwrap();
        lazily(world, &held, hold(vec![completed(run, 0, "done")])).await;
    }
    world.next_moment().await;
    let (freed, buried) = cost(world, world.store.bury(9)).await;
    assert_eq!((freed.unwrap().len(), buried), (3, (1, 0)));
    let worker = world.worker(Duration::from_secs(60)).await;
    let call = claim(worker);
    let (held, taken) = cost(world, world.store.claim(&call, Which::Next(9))).await;
    assert_eq!(taken, (0, 1));
    for held in held.unwrap() {
        let (history, loaded) = cost(world, world.store.load(held.run)).await;
        assert_eq!((history.unwrap().rows.len(), loaded), (1, (0, 0)));
    }
}

/// From approve to completed: one for the approval, one per recorded step; the end rides with the last.
async fn chain(world: &World) {
    const STEPS: u32 = 5;
    let run = world.waiting(STEPS, 1).await;
    let worker = world.worker(Duration::from_secs(60)).await;
    let path = async {
        world.decide(run, approve(1)).await;
        let held = world.take_as(worker, run).await.unwrap();
        for step in 0..STEPS {
            let end = match step + 1 < STEPS {
                true => Then::Hold,
                false => finish(RunStatus::Completed),
            };
            let verdict = world
                .record(&held, then(vec![completed(run, step, "done")], end))
                .await;
            assert!(verdict.applied);
        }
    };
    let (_, cost) = cost(world, path).await;
    assert_eq!(cost, (1 + u64::from(STEPS), 1));
}

#[tokio::test]
async fn each_verb_costs_what_it_should_on_sqlite() {
    let world = World::on_sqlite().await;
    verbs(&world).await;
    takeover(&world).await;
    chain(&world).await;
}

#[tokio::test]
async fn each_verb_costs_what_it_should_on_postgres() {
    if let Some((world, schema)) = World::on_postgres().await {
        verbs(&world).await;
        takeover(&world).await;
        chain(&world).await;
        schema.remove().await;
    }
}
