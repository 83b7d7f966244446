//! Zombies: workers that were declared dead and write on. Nothing of it lands.

use std::time::Duration;

use neena_engine::run::{Record, RunStatus, Then};
use neena_store::{Batch, Flaw, Held};

use crate::harness::{World, completed, entry, finish, on_every_store, started, then};

/// Runs taken over from zombies.
const RUNS: usize = 40;
/// Stale records in a batch.
const BATCH: usize = 20;
/// Stale records in all.
const WRITES: usize = 10_000;

on_every_store! {
    ten_thousand_stale_writes_change_nothing,
}

async fn ten_thousand_stale_writes_change_nothing(world: World) {
    assert_eq!(stale_writes(&world, WRITES).await, 0);
}

#[tokio::test(start_paused = true)]
async fn without_a_fence_stale_writes_land() {
    let world = World::in_memory_with(Flaw::NoFence);
    assert!(stale_writes(&world, 100).await > 0);
}

/// What a zombie may have been about to record.
fn of_each_kind(zombie: &Held, number: usize) -> Record {
    let rows = match number % 3 {
        0 => vec![completed(zombie.run, 1, "stale")],
        1 => vec![started(zombie.run, 2), completed(zombie.run, 1, "stale")],
        _ => vec![],
    };
    let what = match number % 7 {
        0 | 1 => Then::Hold,
        2 => Then::Park {
            wake_at: None,
            reason: Some("stale".into()),
        },
        3 => finish(RunStatus::Completed),
        4 => finish(RunStatus::Failed),
        5 => Then::Close {
            body: "stale".into(),
        },
        _ => Then::Yield,
    };
    then(rows, what)
}

/// Lets zombies write while the new owners do; how many of their records left a trace.
async fn stale_writes(world: &World, writes: usize) -> usize {
    let dead = world.worker(Duration::ZERO).await;
    let mut zombies = Vec::new();
    for _ in 0..RUNS {
        let run = world.ready().await;
        zombies.push(world.take_as(dead, run).await.unwrap());
    }
    world.next_moment().await;
    assert_eq!(world.store.bury(500).await.unwrap().len(), RUNS);
    let alive = world.worker(Duration::from_secs(3_600)).await;
    let mut owners = Vec::new();
    for zombie in &zombies {
        owners.push(world.take_as(alive, zombie.run).await.unwrap());
    }
    let mut landed = 0;
    for batch in 0..writes / BATCH {
        let entries = (0..BATCH).map(|at| {
            let number = batch * BATCH + at;
            let zombie = &zombies[number % RUNS];
            entry(zombie, zombie.inbox_seq, of_each_kind(zombie, number))
        });
        let batch = Batch {
            entries: entries.collect(),
            durable: batch % 8 == 0,
        };
        let owner = &owners[landed % RUNS];
        let (verdicts, _) = tokio::join!(
            world.store.commit(&batch),
            world.record(
                owner,
                then(vec![completed(owner.run, 0, "mine")], Then::Hold)
            ),
        );
        let verdicts = verdicts.unwrap();
        landed += verdicts.iter().filter(|verdict| verdict.held).count();
    }
    for owner in &owners {
        let tasks = world.tasks(owner.run).await;
        landed += tasks.iter().filter(|task| task.0 != 0).count();
        let row = world.row(owner.run).await;
        landed += usize::from(row.ended || row.reason.is_some());
        let still = world.store.reread(owner.run, owner.claim).await.unwrap();
        landed += usize::from(still.is_none());
    }
    landed
}
