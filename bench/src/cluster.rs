//! How a cluster scales: real worker processes over one Postgres and one broker, with tasks that only wait.
//!
//! Runs are approved before any worker is there. Times are those that the workers recorded: from the first
//! start to the last end.

use std::path::Path;
use std::process::Stdio;
use std::sync::Arc;
use std::time::{Duration, Instant};

use anyhow::{Context, ensure};
use futures_util::future::try_join_all;
use neena::{Node, Options, Role};
use neena_engine::flow::{Catalogue, Flow, FlowSpec, OperationSpec, Retry, TriggerRule, built_ins};
use neena_engine::plan::Graph;
use sea_orm::{ConnectionTrait, DatabaseBackend, Statement};
use serde::Serialize;
use serde_json::{Map, json};
use tokio::io::{AsyncBufReadExt, BufReader};
use tokio::process::{Child, Command};

use crate::runs;
use crate::stack::{MASTER_KEY, Servers};

/// Task slots of each worker.
const SLOTS: usize = 8;
/// How long a task waits.
const TASK: Duration = Duration::from_millis(100);

/// What a number of workers made of the same work.
#[derive(Debug, Serialize)]
pub struct Scaled {
    pub scenario: &'static str,
    pub workers: usize,
    pub tasks: usize,
    /// From the first start to the last end, seconds.
    pub seconds: f64,
    /// If every slot were busy all the time, seconds.
    pub ideal_seconds: f64,
}

impl Scaled {
    /// Which part of the ideal was reached.
    pub fn efficiency(&self) -> f64 {
        self.ideal_seconds / self.seconds
    }
}

/// `runs` runs of one task each, on each number of workers.
pub async fn narrow(
    servers: &Servers,
    program: &Path,
    count_of_runs: usize,
    workers: &[usize],
) -> anyhow::Result<Vec<Scaled>> {
    let mut figures = Vec::new();
    for count in workers {
        let cluster = Cluster::new(servers, program).await?;
        let graph = sleeps(1)?;
        for _ in 0..count_of_runs {
            runs::approved(&cluster.node, &graph).await?;
        }
        figures.push(cluster.measure("narrow", *count, count_of_runs).await?);
    }
    Ok(figures)
}

/// One run of so many tasks at once.
pub async fn wide(
    servers: &Servers,
    program: &Path,
    tasks: u32,
    workers: usize,
) -> anyhow::Result<Scaled> {
    let cluster = Cluster::new(servers, program).await?;
    let processes = cluster.workers(workers).await?;
    // They hear of each other with their beats.
    tokio::time::sleep(Duration::from_secs(4)).await;
    runs::approved(&cluster.node, &sleeps(tasks)?).await?;
    let figure = cluster.finished("wide", workers, tasks as usize).await;
    stop(processes).await?;
    figure
}

/// So many tasks side by side, each of which waits.
pub fn sleeps(count: u32) -> anyhow::Result<Arc<Graph>> {
    let catalogue: Catalogue = built_ins()
        .into_iter()
        .map(|one| (one.definition.id, Arc::new(one.definition)))
        .collect();
    let sleep = catalogue
        .values()
        .find(|one| one.method == "core.sleep")
        .context("there is no core.sleep")?
        .id;
    let operation = |index| OperationSpec {
        name: format!("wait {index}"),
        instruction: None,
        task_definition: sleep,
        index,
        arguments: Some(Map::from_iter([(
            "seconds".to_owned(),
            json!(TASK.as_secs_f64()),
        )])),
        when: None,
        trigger_rule: TriggerRule::AllSuccess,
        retry: Retry::NONE,
        timeout_ms: None,
        approval: None,
    };
    let spec = FlowSpec {
        name: "measured".into(),
        task_operations: (0..count).map(operation).collect(),
        ..FlowSpec::default()
    };
    let flow = Flow::check(spec, &catalogue)
        .map_err(|faults| anyhow::anyhow!("the flow has faults: {faults:?}"))?;
    Ok(Arc::new(flow.graph().context("the flow has no graph")?))
}

/// A database and a broker's queues of its own, and a process that approves.
pub struct Cluster<'a> {
    pub node: Node,
    environment: Vec<(&'static str, String)>,
    program: &'a Path,
}

impl<'a> Cluster<'a> {
    pub async fn new(servers: &Servers, program: &'a Path) -> anyhow::Result<Cluster<'a>> {
        let own = servers.own().await?;
        let backends = own.backends();
        let db = backends.open().await?;
        db.migrate().await?;
        db.close().await;
        let node = Node::start(Options {
            backends,
            role: Role::Api,
            lease: Duration::from_secs(10),
        })
        .await?;
        Ok(Cluster {
            node,
            environment: vec![
                ("NEENA_DATABASE_URL", own.database_url),
                ("NEENA_AMQP_URL", own.amqp_url),
                ("NEENA_AMQP_PREFIX", own.prefix),
                ("NEENA_MASTER_KEY", MASTER_KEY.to_owned()),
                ("NEENA_WORKER_CONCURRENCY", SLOTS.to_string()),
                ("NEENA_LOG", "warn".to_owned()),
            ],
            program,
        })
    }

    pub async fn workers(&self, count: usize) -> anyhow::Result<Vec<Child>> {
        try_join_all((0..count).map(|_| worker(self.program, &self.environment))).await
    }

    /// Where its database is.
    pub fn database_url(&self) -> anyhow::Result<String> {
        let mut known = self.environment.iter();
        let url = known.find(|(name, _)| *name == "NEENA_DATABASE_URL");
        Ok(url.context("no database")?.1.clone())
    }

    /// The number a query answers.
    pub async fn count(&self, sql: &str) -> anyhow::Result<usize> {
        let statement = Statement::from_string(DatabaseBackend::Postgres, sql);
        let row = self.node.db.reader().query_one_raw(statement).await?;
        let count: i64 = row.context("no answer")?.try_get_by_index(0)?;
        Ok(usize::try_from(count)?)
    }

    async fn measure(
        self,
        scenario: &'static str,
        workers: usize,
        tasks: usize,
    ) -> anyhow::Result<Scaled> {
        let processes = self.workers(workers).await?;
        let figure = self.finished(scenario, workers, tasks).await;
        stop(processes).await?;
        self.node.stop().await?;
        figure
    }

    /// Waits until all tasks are done, and reads when.
    async fn finished(
        &self,
        scenario: &'static str,
        workers: usize,
        tasks: usize,
    ) -> anyhow::Result<Scaled> {
        let deadline = Instant::now() + Duration::from_secs(120);
        loop {
            let sql = "SELECT count(*), COALESCE(max(end_time) - min(start_time), 0) FROM task_runs \
                 WHERE status = 'completed' AND NOT EXISTS (SELECT 1 FROM live_runs)";
            let statement = Statement::from_string(DatabaseBackend::Postgres, sql);
            let row = self.node.db.reader().query_one_raw(statement).await?;
            let row = row.context("no answer")?;
            let (done, micros): (i64, i64) = (row.try_get_by_index(0)?, row.try_get_by_index(1)?);
            if usize::try_from(done)? == tasks {
                let waves = tasks as f64 / (workers * SLOTS) as f64;
                return Ok(Scaled {
                    scenario,
                    workers,
                    tasks,
                    seconds: micros as f64 / 1e6,
                    ideal_seconds: waves * TASK.as_secs_f64(),
                });
            }
            ensure!(
                Instant::now() < deadline,
                "{done} of {tasks} tasks are done"
            );
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
    }
}

/// Starts a worker and waits until it is ready.
async fn worker(program: &Path, environment: &[(&'static str, String)]) -> anyhow::Result<Child> {
    let mut child = Command::new(program)
        .arg("worker")
        .envs(environment.iter().map(|(name, value)| (*name, value)))
        .stdout(Stdio::piped())
        .kill_on_drop(true)
        .spawn()
        .with_context(|| format!("cannot run {}", program.display()))?;
    let said = child.stdout.take().context("the worker says nothing")?;
    let mut lines = BufReader::new(said).lines();
    let line = tokio::time::timeout(Duration::from_secs(30), lines.next_line()).await??;
    ensure!(
        line.as_deref()
            .is_some_and(|line| line.ends_with("is ready")),
        "the worker did not start: {line:?}"
    );
    Ok(child)
}

pub async fn stop(processes: Vec<Child>) -> anyhow::Result<()> {
    for mut child in processes {
        child.kill().await?;
    }
    Ok(())
}
