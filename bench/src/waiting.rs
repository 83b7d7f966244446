//! What runs that wait for people cost a worker: a process of its own that has nothing to do, with none of them in
//! the table, and with many.

use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context, ensure};
use neena_engine::ids::{FlowRequestId, RunId};
use neena_engine::plan::Graph;
use neena_store::{NewRun, insert_run};
use sea_orm::{ConnectionTrait, Database, DatabaseConnection, TransactionTrait};
use uuid::Uuid;

use crate::figure::Figure;
use crate::progress::Progress;
use crate::used::Used;
use crate::workers::{Cluster, sleeps};
use crate::{Measure, runs};

/// How long is watched.
const WATCHED: Duration = Duration::from_secs(20);
/// How long a worker that has just started is left alone.
const SETTLED: Duration = Duration::from_secs(5);
/// Runs made as servers make them, and runs copied at once.
const MADE: usize = 1_000;
const COPIED: usize = 10_000;

/// Runs that wait, half of them for their approval, half at a gate.
const WAITING: usize = 100_000;

/// Watches one worker without waiting runs, and another one with many.
pub async fn measure(options: &Measure) -> anyhow::Result<Vec<Figure>> {
    let (servers, program) = (options.servers()?, options.program()?);
    let mut figures = Vec::new();
    for count in [0, WAITING] {
        let progress = Progress::new(&format!("waiting ({count} runs)"), 1);
        let cluster = Cluster::new(&servers, &program).await?;
        fill(&cluster, count).await?;
        let workers = cluster.workers(1).await?;
        let process = workers
            .first()
            .and_then(|worker| worker.id())
            .context("the worker is gone")?;
        tokio::time::sleep(SETTLED).await;
        let before = Used::of(process)?;
        tokio::time::sleep(WATCHED).await;
        let after = Used::of(process)?;
        crate::workers::stop(workers).await?;
        cluster.node.stop().await?;
        progress.one();
        let mode = format!("cluster, a worker beside {count} waiting runs");
        let cpu = (after.cpu_seconds - before.cpu_seconds) * 1e3 / WATCHED.as_secs_f64();
        figures.push(Figure::of(
            "waiting",
            mode.clone(),
            "MB",
            vec![after.resident_mb],
        ));
        figures.push(Figure::of("waiting", mode, "ms of CPU a second", vec![cpu]));
    }
    Ok(figures)
}

/// Makes runs that wait: every other one is parked at a gate, as its worker would have left it. The first thousand are
/// made as servers make them, the others are copies.
async fn fill(cluster: &Cluster<'_>, count: usize) -> anyhow::Result<()> {
    // Without the limits that a server puts on its units of work.
    let connection = Database::connect(cluster.database_url()?).await?;
    let graph = sleeps(1)?;
    insert(&connection, &graph, MADE.min(count)).await?;
    let mut made = MADE.min(count);
    while made < count {
        let together = COPIED.min(count - made);
        let pairs = format!(
            "CREATE TABLE copies AS SELECT id AS old, gen_random_uuid() AS new FROM \
               (SELECT id FROM flow_runs ORDER BY id LIMIT {MADE}) f CROSS JOIN generate_series(1, {COPIED} / {MADE}) \
             LIMIT {together}"
        );
        connection.execute_unprepared(&pairs).await?;
        for (table, id) in [
            ("flow_runs", "id"),
            ("run_plans", "run_id"),
            ("live_runs", "run_id"),
            ("asks", "run_id"),
        ] {
            let copy = format!(
                "INSERT INTO {table} SELECT (jsonb_populate_record(t, jsonb_build_object('{id}', c.new))).* \
                 FROM {table} t JOIN copies c ON c.old = t.{id}"
            );
            connection.execute_unprepared(&copy).await?;
        }
        connection.execute_unprepared("DROP TABLE copies").await?;
        made += together;
    }
    for sql in [
        "UPDATE live_runs SET phase = 'parked', approved_hash = plan_hash, epoch = 1 \
         WHERE run_id IN (SELECT run_id FROM live_runs ORDER BY run_id LIMIT (SELECT count(*) / 2 FROM live_runs))",
        "UPDATE asks SET idx = 0, name = 'wait_0' FROM live_runs l \
         WHERE l.run_id = asks.run_id AND l.phase = 'parked'",
        "ANALYZE",
    ] {
        connection.execute_unprepared(sql).await?;
    }
    connection.close().await?;
    let found = cluster.count("SELECT count(*) FROM live_runs WHERE owner IS NULL");
    let found = found.await?;
    ensure!(found == count, "{found} runs wait instead of {count}");
    Ok(())
}

/// Makes waiting runs, in one transaction.
async fn insert(
    connection: &DatabaseConnection,
    graph: &Arc<Graph>,
    count: usize,
) -> anyhow::Result<()> {
    let plan = runs::plan(graph)?;
    let transaction = connection.begin().await?;
    for _ in 0..count {
        let (run, request) = (RunId(Uuid::now_v7()), FlowRequestId(Uuid::now_v7()));
        let new = NewRun::new(run, request, plan.clone(), None)?;
        insert_run(&transaction, &new).await?;
    }
    transaction.commit().await?;
    Ok(())
}
