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
use neena_engine::flow::{Flow, FlowSpec, OperationSpec, Retry, TriggerRule};
use neena_engine::plan::Graph;
use sea_orm::{ConnectionTrait, DatabaseBackend, Statement};
use serde_json::{Map, json};
use tokio::io::{AsyncBufReadExt, BufReader};
use tokio::process::{Child, Command};

use crate::figure::Figure;
use crate::progress::Progress;
use crate::stack::Servers;
use crate::{Measure, machine, runs};

/// Task slots of each worker.
const SLOTS: usize = 8;
/// How long a task waits.
const TASK: Duration = Duration::from_millis(100);

/// Runs of one task each, and tasks of the one wide run.
const NARROW: usize = 1_000;
const WIDE: u32 = 400;

/// 1,000 runs of one task on 1, 2 and 4 workers, and one run of 400 tasks on 4.
pub async fn measure(options: &Measure) -> anyhow::Result<Vec<Figure>> {
    let (servers, program) = (options.servers()?, options.program()?);
    let count = options.samples().unwrap_or(3);
    let mut figures: Vec<Figure> = Vec::new();
    let mut alone = 0.0;
    for workers in [1, 2, 4] {
        let progress = Progress::new(&format!("workers ({workers}, narrow runs)"), count as u64);
        let mut rates = Vec::new();
        for _ in 0..count {
            let cluster = Cluster::new(&servers, &program).await?;
            let graph = sleeps(1)?;
            for _ in 0..NARROW {
                runs::approved(&cluster.node, &graph).await?;
            }
            let processes = cluster.workers(workers).await?;
            let seconds = cluster.finished(NARROW).await;
            stop(processes).await?;
            cluster.node.stop().await?;
            rates.push(NARROW as f64 / seconds?);
            progress.one();
        }
        let figure = figure(
            format!("cluster, {NARROW} runs, {workers} workers"),
            workers,
            rates,
        );
        let linear = workers as f64 * alone;
        figures.push(match workers {
            1 => {
                alone = figure.median;
                figure
            }
            _ => figure.goal(0.9 * linear, format!("0.9 × {workers} × one worker")),
        });
    }
    figures.push(wide(&servers, &program, count).await?);
    Ok(figures)
}

/// One run of many tasks, which travel to where there is room.
async fn wide(servers: &Servers, program: &Path, count: usize) -> anyhow::Result<Figure> {
    let workers = 4;
    let progress = Progress::new("workers (4, a wide run)", count as u64);
    let mut rates = Vec::new();
    for _ in 0..count {
        let cluster = Cluster::new(servers, program).await?;
        let processes = cluster.workers(workers).await?;
        // They hear of each other with their beats.
        tokio::time::sleep(Duration::from_secs(4)).await;
        runs::approved(&cluster.node, &sleeps(WIDE)?).await?;
        let seconds = cluster.finished(WIDE as usize).await;
        stop(processes).await?;
        cluster.node.stop().await?;
        rates.push(f64::from(WIDE) / seconds?);
        progress.one();
    }
    let figure = figure(
        format!("cluster, one run of {WIDE} tasks, {workers} workers"),
        workers,
        rates,
    );
    Ok(figure)
}

fn figure(mode: String, workers: usize, rates: Vec<f64>) -> Figure {
    let ideal = (workers * SLOTS) as f64 / TASK.as_secs_f64();
    Figure::of("workers", mode, "tasks/s", rates)
        .higher_is_better()
        .floor(ideal, "every slot busy all the time")
        .note(format!(
            "{SLOTS} slots a worker, tasks that sleep for {} ms",
            TASK.as_millis()
        ))
}

/// So many tasks side by side, each of which waits.
pub fn sleeps(count: u32) -> anyhow::Result<Arc<Graph>> {
    let catalogue = machine::catalogue();
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
            seals: true,
        })
        .await?;
        Ok(Cluster {
            node,
            environment: {
                let mut environment = own.environment();
                environment.push(("NEENA_WORKER_CONCURRENCY", SLOTS.to_string()));
                environment.push(("NEENA_LOG", "warn".to_owned()));
                environment
            },
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

    /// Waits until so many tasks are done; seconds from the first start to the last end.
    async fn finished(&self, tasks: usize) -> anyhow::Result<f64> {
        let deadline = Instant::now() + Duration::from_secs(120);
        loop {
            let sql = "SELECT count(*), COALESCE(max(end_time) - min(start_time), 0) FROM task_runs \
                 WHERE status = 'completed' AND NOT EXISTS (SELECT 1 FROM live_runs)";
            let statement = Statement::from_string(DatabaseBackend::Postgres, sql);
            let row = self.node.db.reader().query_one_raw(statement).await?;
            let row = row.context("no answer")?;
            let (done, micros): (i64, i64) = (row.try_get_by_index(0)?, row.try_get_by_index(1)?);
            if usize::try_from(done)? == tasks {
                return Ok(micros as f64 / 1e6);
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
