//! The last two votes that a run waits for, from two processes at the same moment.

use std::sync::Arc;

use futures_util::StreamExt;
use neena_engine::approval::Policy;
use neena_engine::run::Decision;
use neena_store::Decided;
use sea_orm::{ConnectionTrait, Statement};

use crate::harness::{Cluster, World, approve, stages};

/// Tries under way at a time.
const TOGETHER: usize = 8;

/// Whether the answer says that the run was started by it.
fn starts(decided: &Decided) -> bool {
    match decided {
        Decided::Done { outbox, .. } => outbox.iter().any(|of| of.kind == "flow_run.approved"),
        other => panic!("both votes count: {other:?}"),
    }
}

async fn vote(world: Arc<World>, run: neena_engine::ids::RunId, decision: Decision) -> bool {
    starts(&world.decide(run, decision).await)
}

/// One run asks for two approvals, the next one for three in two stages, of which one is there.
async fn once(number: usize, [a, b]: [Arc<World>; 2]) {
    let policy = match number % 2 {
        0 => Policy::quorum(2),
        _ => stages(&[
            ("first", 1, "8@example.com"),
            ("last", 2, "1@example.com 2@example.com"),
        ]),
    };
    let run = a.asking(policy, &[]).await;
    if number % 2 == 1 {
        assert!(!vote(a.clone(), run, approve(8)).await);
    }
    let (one, two) = (
        tokio::spawn(vote(a.clone(), run, approve(1))),
        tokio::spawn(vote(b, run, approve(2))),
    );
    let (one, two) = (one.await.unwrap(), two.await.unwrap());
    assert!(one != two, "{number}: exactly one of the votes is the last");
    assert_eq!(a.outbox(run).await, ["flow_run.approved"], "{number}");
    assert_eq!(a.row(run).await.status, "in_progress");
    assert_eq!(a.take(run).await.unwrap().epoch, 1);
    let log = a.log(run).await;
    let last = log.iter().filter(|entry| entry.4 == "approved").count();
    assert_eq!((log.len(), last), (2 + number % 2, 1), "{log:?}");
}

async fn tries(rounds: usize) {
    let Some(cluster) = Cluster::of(2).await else {
        return;
    };
    let worlds = cluster.worlds.clone();
    let rounds = (0..rounds).map(|number| {
        let pair = [Arc::clone(&worlds[0]), Arc::clone(&worlds[1])];
        tokio::spawn(once(number, pair))
    });
    let mut rounds = futures_util::stream::iter(rounds).buffer_unordered(TOGETHER);
    let mut done: i64 = 0;
    while let Some(round) = rounds.next().await {
        round.unwrap();
        done += 1;
    }
    drop(rounds);
    let db = worlds[0].db().unwrap().reader();
    let sql =
        "SELECT count(*), count(DISTINCT run_id) FROM outbox WHERE kind = 'flow_run.approved'";
    let statement = Statement::from_string(db.get_database_backend(), sql);
    let row = db.query_one_raw(statement).await.unwrap().unwrap();
    let counts: (i64, i64) = (
        row.try_get_by_index(0).unwrap(),
        row.try_get_by_index(1).unwrap(),
    );
    assert_eq!(counts, (done, done));
    println!("{done} tries, {} starts", counts.0);
    drop(worlds);
    assert_eq!(cluster.end().await, 0, "deadlocks");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn two_last_votes_from_two_processes_start_the_run_once() {
    tries(50).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
#[ignore = "a thousand tries take a minute"]
async fn two_last_votes_from_two_processes_start_the_run_once_a_thousand_times() {
    tries(1_000).await;
}
