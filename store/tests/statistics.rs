//! Postgres plans by statistics, and those of tables whose rows come and go are taken at any moment, when they are empty,
//! too.

use std::sync::Arc;

use neena_engine::run::RunStatus;
use sea_orm::ConnectionTrait;

use crate::harness::{Cluster, World, completed, finish, hold, then};

/// Runs that are nobody's business here.
const OTHERS: i64 = 5_000;

#[tokio::test]
async fn what_is_named_is_looked_up_even_by_the_statistics_of_empty_tables() {
    let Some(mut cluster) = Cluster::empty().await else {
        return;
    };
    let db = cluster.connect().await;
    db.migrate().await.unwrap();
    let world = Arc::new(World::over(db));
    cluster.worlds.push(world.clone());
    let outside = cluster.outside().await;
    // What was planned before is planned anew after this, and stays so.
    for sql in [
        "ALTER TABLE live_runs SET (autovacuum_enabled = false)",
        "VACUUM ANALYZE live_runs",
    ] {
        outside.execute_unprepared(sql).await.unwrap();
    }
    for _ in 0..3 {
        from_approval_to_end(&world).await;
    }
    // Older than those that follow: in the order of ids they come first.
    let others = format!(
        "INSERT INTO live_runs (run_id, organization_id, flow_id, phase, epoch, claims, inbox_seq, priority, plan_hash, plan_v) \
         SELECT ('00000000-0000-0000-0000-' || lpad(to_hex(n), 12, '0'))::uuid, gen_random_uuid(), gen_random_uuid(), \
           'parked', 1, 0, 0, 0, 'x', 1 \
         FROM generate_series(1, {OTHERS}) n"
    );
    outside.execute_unprepared(&others).await.unwrap();
    outside.close().await.unwrap();
    for _ in 0..20 {
        from_approval_to_end(&world).await;
    }
    let read = cluster.read_of("live_runs_pkey").await;
    assert!(read > 0 && read < OTHERS, "{read} entries were read");
    assert_eq!(cluster.end().await, 0);
}

async fn from_approval_to_end(world: &World) {
    let held = world.held().await;
    for index in 0..2 {
        let rows = vec![completed(held.run, index, "done")];
        assert!(world.record(&held, hold(rows)).await.applied);
    }
    let end = then(Vec::new(), finish(RunStatus::Completed));
    assert!(world.record(&held, end).await.applied);
}
