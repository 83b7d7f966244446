//! Processes that are started again whenever they end: the API on its port, a worker in its place.

use std::sync::Arc;
use std::time::{Duration, Instant};

use anyhow::Context;
use parking_lot::Mutex;
use tokio::sync::Notify;

use crate::process::Process;
use crate::site::{READY, Site, Through};

/// The API under a fixed address; `Kept::watch` starts it again when it dies.
#[derive(Debug)]
pub struct Api {
    pub url: String,
    pub process: Process,
    address: String,
    through: Through,
    lives: u32,
}

impl Api {
    /// Starts it on a free port and waits until it is ready.
    pub async fn start(site: &Site<'_>, through: Through) -> anyhow::Result<Api> {
        let port = std::net::TcpListener::bind("127.0.0.1:0")?
            .local_addr()?
            .port();
        let address = format!("127.0.0.1:{port}");
        let process = spawn(site, &address, 0, &through).await?;
        Ok(Api {
            url: format!("http://{address}"),
            process,
            address,
            through,
            lives: 0,
        })
    }

    /// Another one in its place; the old one must have ended. What it is to die of may be waiting for it, so it may die
    /// again, and often, before it is ready.
    pub async fn again(&mut self, site: &Site<'_>) -> anyhow::Result<()> {
        let start = Instant::now();
        loop {
            self.lives += 1;
            match spawn(site, &self.address, self.lives, &self.through).await {
                Ok(process) => {
                    self.process = process;
                    return Ok(());
                }
                Err(error) if start.elapsed() > READY => return Err(error),
                Err(_) => {}
            }
        }
    }

    /// Where the next one's connections go.
    pub fn reroute(&mut self, through: Through) {
        self.through = through;
    }

    /// Starts it again whenever it ends, until `stop`; notes when each life began.
    pub async fn keep(
        &mut self,
        site: &Site<'_>,
        stop: &Notify,
        lives: &Mutex<Vec<i64>>,
    ) -> anyhow::Result<()> {
        loop {
            tokio::select! {
                () = stop.notified() => return Ok(()),
                ended = self.process.ended() => {
                    ended?;
                    self.again(site).await?;
                    lives.lock().push(crate::sink::now());
                }
            }
        }
    }
}

async fn spawn(
    site: &Site<'_>,
    address: &str,
    life: u32,
    through: &Through,
) -> anyhow::Result<Process> {
    let app = format!("api.{life}");
    let mut command = site.command("api", &app, through);
    command.env("NEENA_BIND", address);
    let mut process = Process::start(&app, command, &site.dir)?;
    process
        .says(READY, |line| line.contains("ready").then_some(()))
        .await
        .context("the API did not start")?;
    Ok(process)
}

/// Workers, each with a place of its own.
#[derive(Debug)]
pub struct Fleet {
    pub workers: Vec<Worker>,
}

/// A worker in its place.
#[derive(Debug)]
pub struct Worker {
    place: usize,
    life: u32,
    through: Through,
    pub metrics: u16,
    pub process: Process,
}

impl Fleet {
    /// Starts so many, and waits until all have joined.
    pub async fn start(site: &Site<'_>, count: usize, through: Through) -> anyhow::Result<Fleet> {
        let mut workers = Vec::with_capacity(count);
        for place in 0..count {
            workers.push(Worker::start(site, place, through.clone())?);
        }
        let deadline = Instant::now() + READY;
        let sql = "SELECT count(*) FROM workers WHERE state = 'alive'";
        while sqlx::query_scalar::<_, i64>(sql)
            .fetch_one(&site.pool)
            .await?
            < count as i64
        {
            for worker in &mut workers {
                anyhow::ensure!(
                    worker.process.runs(),
                    "a worker ended: {}",
                    crate::process::tail(&worker.process.log)
                );
            }
            anyhow::ensure!(Instant::now() < deadline, "the workers did not join");
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
        Ok(Fleet { workers })
    }

    /// SIGTERM to all, and waits.
    pub async fn stop(&mut self) -> anyhow::Result<()> {
        for worker in &mut self.workers {
            if worker.process.runs() {
                worker.process.terminate(Duration::from_secs(40)).await?;
            }
        }
        Ok(())
    }

    /// How many died and were started again until `stop` is notified.
    pub async fn keep(
        &mut self,
        site: &Site<'_>,
        stop: &Notify,
        deaths: &Mutex<Vec<i64>>,
    ) -> anyhow::Result<()> {
        let mut ticks = tokio::time::interval(Duration::from_millis(20));
        loop {
            tokio::select! {
                () = stop.notified() => return Ok(()),
                _ = ticks.tick() => {
                    for worker in &mut self.workers {
                        if !worker.process.runs() {
                            deaths.lock().push(crate::sink::now());
                            worker.again(site)?;
                        }
                    }
                }
            }
        }
    }
}

impl Worker {
    /// One in `place`.
    pub fn start(site: &Site<'_>, place: usize, through: Through) -> anyhow::Result<Worker> {
        let metrics = std::net::TcpListener::bind("127.0.0.1:0")?
            .local_addr()?
            .port();
        let process = start(site, place, 0, metrics, &through)?;
        Ok(Worker {
            place,
            life: 0,
            through,
            metrics,
            process,
        })
    }

    /// Another one in its place; the old one must have ended.
    pub fn again(&mut self, site: &Site<'_>) -> anyhow::Result<()> {
        self.life += 1;
        self.process = start(site, self.place, self.life, self.metrics, &self.through)?;
        Ok(())
    }

    /// The sum of a metric over its labels; none if it is not told.
    pub async fn metric(&self, name: &str) -> Option<f64> {
        let url = format!("http://127.0.0.1:{}/metrics", self.metrics);
        let text = reqwest::get(url).await.ok()?.text().await.ok()?;
        let values = text.lines().filter_map(|line| {
            let rest = line.strip_prefix(name)?;
            let value = rest.rsplit_once(' ')?.1;
            rest.starts_with(['{', ' '])
                .then(|| value.parse::<f64>().ok())?
        });
        let values: Vec<f64> = values.collect();
        (!values.is_empty()).then(|| values.iter().sum())
    }
}

fn start(
    site: &Site<'_>,
    place: usize,
    life: u32,
    metrics: u16,
    through: &Through,
) -> anyhow::Result<Process> {
    let app = format!("w{place}.{life}");
    let mut command = site.command("worker", &app, through);
    command.env("NEENA_METRICS_BIND", format!("127.0.0.1:{metrics}"));
    Process::start(&app, command, &site.dir)
}

/// Rings once, however many wait.
pub fn bell() -> Arc<Notify> {
    Arc::new(Notify::new())
}
