//! The points at which a store can be made to fail, on both databases.

use neena_engine::run::RunStatus;
use neena_store::{Decided, Journal, StoreError, outlet};

use crate::harness::{World, approve, completed, entry, finish, kinds, then};

async fn lost_answers(world: &World) {
    let run = world.waiting(1, 1).await;
    fail::cfg("decide.after_commit", "1*return").unwrap();
    let decided = world.decide(run, approve(1)).await;
    let Decided::Done { outbox, .. } = decided else {
        panic!("{decided:?}");
    };
    assert_eq!(kinds(&outbox), ["flow_run.approved"]);
    assert_eq!(world.outbox(run).await.len(), 1);

    let run = world.waiting(1, 1).await;
    fail::cfg("decide.before_commit", "1*return").unwrap();
    let failed = world.store.decide(&world.deciding(run, approve(1))).await;
    assert!(
        matches!(failed, Err(StoreError::Unavailable(_))),
        "{failed:?}"
    );
    assert_eq!(world.outbox(run).await, Vec::<String>::new());
    assert!(matches!(
        world.decide(run, approve(1)).await,
        Decided::Done { .. }
    ));

    for point in ["commit.before", "commit.after"] {
        let held = world.held().await;
        let journal = Journal::start(world.store.clone(), outlet().0);
        fail::cfg(point, "1*return").unwrap();
        let record = then(
            vec![completed(held.run, 0, "x")],
            finish(RunStatus::Completed),
        );
        let pending = journal.push(entry(&held, held.inbox_seq, record)).await;
        let held_still = pending.unwrap().await.1.unwrap().held;
        assert_eq!(held_still, point == "commit.before");
        assert_eq!(world.row(held.run).await.status, "completed");
        journal.close().await;
    }
}

/// One test: failpoints are the process's.
#[tokio::test]
async fn answers_lost_by_failpoints_are_found_again() {
    let _scenario = fail::FailScenario::setup();
    lost_answers(&World::on_sqlite().await).await;
    if let Some((world, schema)) = World::on_postgres().await {
        lost_answers(&world).await;
        schema.remove().await;
    }
}
