//! What runs that wait for people cost a worker: a process of its own that has nothing to do, with none of them in
//! the table, and with many.

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context, ensure};
use neena_engine::ids::{FlowRequestId, RunId};
use neena_engine::plan::Graph;
use neena_store::{NewRun, insert_run};
use sea_orm::{ConnectionTrait, Database, DatabaseConnection, TransactionTrait};
use serde::Serialize;
use uuid::Uuid;

use crate::cluster::{Cluster, sleeps};
use crate::runs;
use crate::stack::Servers;

/// How long is watched.
const WATCHED: Duration = Duration::from_secs(20);
/// How long a worker that has just started is left alone.
const SETTLED: Duration = Duration::from_secs(5);
/// Runs made as servers make them, and runs copied at once.
const MADE: usize = 1_000;
const COPIED: usize = 10_000;
/// The kernel's ticks in a second, as `/proc` counts them on every Linux.
const TICKS: f64 = 100.0;

/// What a worker used while it was watched.
#[derive(Debug, Serialize)]
pub struct Idle {
    /// Runs that waited, half of them for their approval, half at a gate.
    pub waiting: usize,
    pub resident_mib: f64,
    /// Seconds of a core, of the seconds watched.
    pub cpu_seconds: f64,
    pub watched_seconds: f64,
}

/// Watches one worker without waiting runs, and another one with so many.
pub async fn measure(
    servers: &Servers,
    program: &Path,
    waiting: usize,
) -> anyhow::Result<Vec<Idle>> {
    let mut figures = Vec::new();
    for count in [0, waiting] {
        let cluster = Cluster::new(servers, program).await?;
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
        crate::cluster::stop(workers).await?;
        figures.push(Idle {
            waiting: count,
            resident_mib: after.resident_kib as f64 / 1024.0,
            cpu_seconds: (after.ticks - before.ticks) as f64 / TICKS,
            watched_seconds: WATCHED.as_secs_f64(),
        });
        cluster.node.stop().await?;
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

/// What a process uses, as the kernel says.
struct Used {
    resident_kib: u64,
    ticks: u64,
}

impl Used {
    fn of(process: u32) -> anyhow::Result<Used> {
        let status = std::fs::read_to_string(format!("/proc/{process}/status"))
            .context("what a process uses is read from /proc, which is there on Linux only")?;
        let resident = status
            .lines()
            .find_map(|line| line.strip_prefix("VmRSS:"))
            .and_then(|rest| rest.split_whitespace().next())
            .context("the kernel does not say how much memory the worker uses")?;
        let stat = std::fs::read_to_string(format!("/proc/{process}/stat"))?;
        // The name of the program may hold spaces; after it, the twelfth and thirteenth are user and system time.
        let (_, fields) = stat.rsplit_once(')').context("an unknown form of stat")?;
        let mut ticks = 0;
        for field in fields.split_whitespace().skip(11).take(2) {
            ticks += field.parse::<u64>()?;
        }
        Ok(Used {
            resident_kib: resident.parse()?,
            ticks,
        })
    }
}
