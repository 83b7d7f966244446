//! Every migration applies, can be taken back, and applies again.

use neena_migrations::Migrator;
use sea_orm::{ConnectionTrait, Database, Statement};
use sea_orm_migration::MigratorTrait;

use crate::harness::{Cluster, World, sqlite};

async fn up_down_up(db: &neena_store::Db, url: &str) {
    assert_eq!(db.migrate().await.unwrap(), 0);
    let outside = Database::connect(url).await.unwrap();
    Migrator::down(&outside, None).await.unwrap();
    outside.close().await.unwrap();
    assert!(db.migrate().await.unwrap() > 0);
}

#[tokio::test]
async fn migrations_apply_and_are_taken_back_on_sqlite() {
    let sqlite = sqlite().await;
    let file = sqlite.dir.path().join("neena.db");
    up_down_up(&sqlite.db, &format!("sqlite://{}", file.display())).await;
}

#[tokio::test]
async fn migrations_apply_and_are_taken_back_on_postgres() {
    if let Some((world, schema)) = World::on_postgres().await {
        up_down_up(world.db().unwrap(), &schema.url()).await;
        schema.remove().await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn four_processes_that_start_at_once_migrate_once() {
    for _ in 0..10 {
        let Some(cluster) = Cluster::empty().await else {
            return;
        };
        let cluster = std::sync::Arc::new(cluster);
        let start = std::sync::Arc::new(tokio::sync::Barrier::new(4));
        let starts: Vec<_> = (0..4)
            .map(|_| {
                let (cluster, start) = (cluster.clone(), start.clone());
                tokio::spawn(async move {
                    let db = cluster.connect().await;
                    start.wait().await;
                    let applied = db.migrate().await.unwrap();
                    db.close().await;
                    applied
                })
            })
            .collect();
        let mut applied = Vec::new();
        for start in starts {
            applied.push(start.await.unwrap());
        }
        applied.sort_unstable();
        let all = Migrator::migrations().len();
        assert_eq!(applied, [0, 0, 0, all]);
        let cluster = std::sync::Arc::into_inner(cluster).unwrap();
        assert_eq!(cluster.end().await, 0);
    }
}

/// The plan SQLite makes for a statement.
async fn plan(sql: &str) -> String {
    let sqlite = sqlite().await;
    let reader = sqlite.db.reader();
    let explain = format!("EXPLAIN QUERY PLAN {sql}");
    let rows = reader
        .query_all_raw(Statement::from_string(
            reader.get_database_backend(),
            explain,
        ))
        .await
        .unwrap();
    rows.iter()
        .map(|row| row.try_get::<String>("", "detail").unwrap())
        .collect::<Vec<_>>()
        .join("; ")
}

/// Statements that run often, and the index each must use.
const HOT: [(&str, &str); 6] = [
    (
        "SELECT run_id FROM live_runs WHERE owner IS NULL AND phase IN ('ready', 'closing') \
             AND (phase = 'closing' OR approved_hash = plan_hash) AND plan_v <= 1 AND claims < 2 \
             ORDER BY priority DESC, ready_at LIMIT 5",
        "live_runs_ready",
    ),
    (
        "SELECT 1 FROM live_runs WHERE owner = x'00'",
        "live_runs_owner",
    ),
    (
        "SELECT 1 FROM live_runs WHERE wake_at <= 5 AND phase = 'parked'",
        "live_runs_due",
    ),
    (
        "SELECT 1 FROM workers WHERE state = 'alive' AND lease_until < 5",
        "workers_alive",
    ),
    (
        "SELECT id FROM outbox WHERE try_after <= 5 ORDER BY try_after LIMIT 5",
        "outbox_due",
    ),
    (
        "SELECT id FROM flow_runs WHERE organization_id = x'00' ORDER BY id DESC LIMIT 5",
        "flow_runs_list",
    ),
];

#[tokio::test]
async fn the_hot_statements_use_their_indexes() {
    for (sql, index) in HOT {
        let plan = plan(sql).await;
        assert!(
            plan.contains(index) && !plan.contains("TEMP B-TREE"),
            "{sql}: {plan}"
        );
    }
}

#[tokio::test]
async fn the_hot_statements_use_their_indexes_on_postgres() {
    let Some((world, schema)) = World::on_postgres().await else {
        return;
    };
    for (sql, index) in HOT {
        let sql = sql.replace("x'00'", "'00000000-0000-0000-0000-000000000000'");
        let explained = format!("EXPLAIN {sql}");
        let plan: Vec<String> = world
            .db()
            .unwrap()
            .unit::<_, neena_store::StoreError, _>(|tx| {
                Box::pin(async move {
                    // Empty tables are read whole unless that is forbidden, as it is where these run.
                    tx.execute_unprepared("SET LOCAL enable_seqscan = off")
                        .await?;
                    let backend = tx.get_database_backend();
                    let rows = tx
                        .query_all_raw(Statement::from_string(backend, explained))
                        .await?;
                    let line = |row: &sea_orm::QueryResult| Ok(row.try_get_by_index(0)?);
                    rows.iter().map(line).collect()
                })
            })
            .await
            .unwrap();
        let plan = plan.join("; ");
        assert!(
            plan.contains(index) && !plan.contains("Seq Scan") && !plan.contains("Sort"),
            "{sql}: {plan}"
        );
    }
    schema.remove().await;
}
