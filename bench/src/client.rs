//! The client process: makes and approves runs of one task over HTTP, and waits until all have ended.

use std::collections::HashMap;
use std::io::Read;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use anyhow::{Context, bail, ensure};
use futures_util::future::try_join_all;
use hyper::Method;
use serde::Deserialize;
use serde_json::{Value, json};
use uuid::Uuid;

use crate::http::Connection;
use crate::load::{Answer, Order, Pace, Way};
use crate::server::Made;

/// Runs of a page.
const PAGE: usize = 1_000;
/// How long the last runs may take.
const PATIENCE: Duration = Duration::from_secs(120);
/// How often it is looked whether they have.
const LOOK_EVERY: Duration = Duration::from_millis(50);
/// Connections of an open loop: more than there ever are requests under way, unless the server falls behind.
const OPEN: usize = 64;

/// Carries out the order on standard input, answers on standard output.
pub fn run() -> anyhow::Result<()> {
    let mut text = String::new();
    std::io::stdin().read_to_string(&mut text)?;
    let order: Order = serde_json::from_str(&text)?;
    // One thread: the other core is the server's.
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()?;
    let answer = runtime.block_on(carry_out(Arc::new(order)))?;
    println!("{}", serde_json::to_string(&answer)?);
    Ok(())
}

async fn carry_out(order: Arc<Order>) -> anyhow::Result<Answer> {
    match order.pace {
        Pace::Closed { in_flight, seconds } => closed(&order, in_flight, seconds).await,
        Pace::Open { rate, runs } => open(&order, rate, runs).await,
    }
}

impl Order {
    async fn connect(&self) -> anyhow::Result<Connection> {
        Connection::open(&self.url, &self.token).await
    }

    fn run(&self, approved: bool) -> Value {
        let mut run = json!({ "flow": self.flow, "flow_request": self.request });
        if approved {
            run["approval_status"] = "approved".into();
        }
        run
    }

    /// Makes and approves a run, or as many as go into one call; how many.
    async fn once(&self, api: &mut Connection) -> anyhow::Result<usize> {
        match self.way {
            Way::Two => {
                let made: Made = api.post("/flow_runs/", self.run(false).to_string()).await?;
                self.approve(api, made.id).await?;
                Ok(1)
            }
            Way::One => {
                let body = self.run(true).to_string();
                api.done(Method::POST, "/flow_runs/", Some(body)).await?;
                Ok(1)
            }
            Way::Bulk(count) => {
                self.many(api, count, true).await?;
                Ok(count)
            }
            Way::BulkTwo(count) => {
                let runs = self.many(api, count, false).await?;
                self.approve_many(api, &runs).await?;
                Ok(count)
            }
        }
    }

    /// Makes so many in one call.
    async fn many(
        &self,
        api: &mut Connection,
        count: usize,
        approved: bool,
    ) -> anyhow::Result<Vec<Made>> {
        let body = Value::Array(vec![self.run(approved); count]);
        let runs: Vec<Made> = api.post("/flow_runs/bulk", body.to_string()).await?;
        ensure!(
            runs.len() == count,
            "{} runs of {count} were made",
            runs.len()
        );
        Ok(runs)
    }

    /// Approves them in one call.
    async fn approve_many(&self, api: &mut Connection, runs: &[Made]) -> anyhow::Result<()> {
        let body: Vec<Value> = runs
            .iter()
            .map(|run| json!({ "flow_run_id": run.id }))
            .collect();
        let body = Value::Array(body).to_string();
        let path = "/flow_runs/approve/bulk";
        let answer = api.done(Method::PUT, path, Some(body)).await?;
        let outcomes: Vec<Outcome> = serde_json::from_slice(&answer)?;
        let refused = outcomes.iter().find(|one| one.status != 200);
        ensure!(
            refused.is_none(),
            "an approval in bulk ended as {refused:?}"
        );
        Ok(())
    }

    async fn approve(&self, api: &mut Connection, run: Uuid) -> anyhow::Result<()> {
        let path = format!("/flow_runs/approve?flow_run_id={run}");
        api.done(Method::PUT, &path, None).await?;
        Ok(())
    }
}

/// So many at a time.
async fn closed(order: &Arc<Order>, in_flight: usize, seconds: f64) -> anyhow::Result<Answer> {
    let mut connections = Vec::new();
    for _ in 0..in_flight {
        connections.push(order.connect().await?);
    }
    let (started, began) = (clock(), Instant::now());
    let lasts = Duration::from_secs_f64(seconds);
    let loops = connections.into_iter().map(|mut api| async move {
        let mut runs = 0;
        while began.elapsed() < lasts {
            runs += order.once(&mut api).await?;
        }
        Ok::<_, anyhow::Error>((runs, api.refused))
    });
    let (mut runs, mut refused) = (0, 0);
    for (some, busy) in try_join_all(loops).await? {
        runs += some;
        refused += busy;
    }
    let last = all_ended(&mut order.connect().await?, runs).await?;
    Ok(Answer {
        runs,
        refused,
        seconds: (last - started) as f64 / 1e6,
        latencies: Vec::new(),
    })
}

/// What became of one approval of many.
#[derive(Debug, Deserialize)]
struct Outcome {
    status: u16,
}

/// A run as lists show it in short.
#[derive(Debug, Deserialize)]
struct Short {
    status: String,
    end_time: Option<String>,
}

/// Waits until the newest `runs` have ended, and as they should; when the last one did. Waiting loads the server, so it
/// looks seldom, and goes by what is written in the runs.
async fn all_ended(api: &mut Connection, runs: usize) -> anyhow::Result<i64> {
    let deadline = Instant::now() + PATIENCE;
    let mut last = 0;
    for skip in (0..runs).step_by(PAGE) {
        let limit = PAGE.min(runs - skip);
        loop {
            let path = format!("/flow_runs/preview/all?skip={skip}&limit={limit}");
            let page: Vec<Short> = api.get(&path).await?;
            ensure!(
                page.len() == limit,
                "{} runs of {limit} are there",
                page.len()
            );
            let open = |one: &&Short| matches!(one.status.as_str(), "pending" | "in_progress");
            let open = page.iter().filter(open).count();
            if open == 0 {
                ensure!(
                    page.iter().all(|one| one.status == "completed"),
                    "a run did not complete"
                );
                for ended in page.iter().filter_map(|one| one.end_time.as_deref()) {
                    last = last.max(micros(ended)?);
                }
                break;
            }
            ensure!(Instant::now() < deadline, "{open} runs do not end");
            tokio::time::sleep(LOOK_EVERY).await;
        }
    }
    Ok(last)
}

/// So many runs a second: each is approved when its time has come, not when the one before is done.
async fn open(order: &Arc<Order>, rate: f64, runs: usize) -> anyhow::Result<Answer> {
    let connections = OPEN.min(runs);
    let mut idle = Vec::new();
    for _ in 0..connections {
        idle.push(order.connect().await?);
    }
    let waiting = Arc::new(match order.way {
        Way::Two => waiting(order, &mut idle, runs).await?,
        Way::One => Vec::new(),
        Way::Bulk(_) | Way::BulkTwo(_) => bail!("an open loop has one run a call"),
    });
    let (started, began) = (clock(), Instant::now());
    let next = Arc::new(AtomicUsize::new(0));
    let loops = idle.into_iter().map(|mut api| {
        let (order, next, waiting) = (order.clone(), next.clone(), waiting.clone());
        tokio::spawn(async move {
            let mut dues = Vec::new();
            loop {
                let at = next.fetch_add(1, Ordering::Relaxed);
                if at >= runs {
                    return Ok::<_, anyhow::Error>((dues, api.refused));
                }
                let due = began + Duration::from_secs_f64(at as f64 / rate);
                tokio::time::sleep_until(due.into()).await;
                // The timer wakes up to a millisecond late, which is not the server's; falling behind is.
                let late = due.elapsed();
                let due = if late < Duration::from_millis(2) {
                    Instant::now()
                } else {
                    due
                };
                let due = clock() - i64::try_from(due.elapsed().as_micros())?;
                let run = match waiting.get(at) {
                    Some(run) => {
                        order.approve(&mut api, *run).await?;
                        *run
                    }
                    None => {
                        let made: Made =
                            api.post("/flow_runs/", order.run(true).to_string()).await?;
                        made.id
                    }
                };
                dues.push((run, due));
            }
        })
    });
    let mut dues = HashMap::new();
    let mut refused = 0;
    for ended in try_join_all(loops).await? {
        let (some, busy) = ended?;
        dues.extend(some);
        refused += busy;
    }
    let mut api = order.connect().await?;
    let last = all_ended(&mut api, runs).await?;
    Ok(Answer {
        runs,
        refused,
        seconds: (last - started) as f64 / 1e6,
        latencies: latencies(&mut api, &dues).await?,
    })
}

/// Makes runs that wait for approval.
async fn waiting(
    order: &Arc<Order>,
    idle: &mut [Connection],
    runs: usize,
) -> anyhow::Result<Vec<Uuid>> {
    let next = AtomicUsize::new(0);
    let body = order.run(false).to_string();
    let loops = idle.iter_mut().take(16).map(|api| {
        let (body, next) = (&body, &next);
        async move {
            let mut made = Vec::new();
            while next.fetch_add(1, Ordering::Relaxed) < runs {
                let one: Made = api.post("/flow_runs/", body.clone()).await?;
                made.push(one.id);
            }
            Ok::<_, anyhow::Error>(made)
        }
    });
    Ok(try_join_all(loops).await?.concat())
}

/// A run with its tasks.
#[derive(Debug, Deserialize)]
struct Whole {
    id: Uuid,
    task_runs: Vec<Started>,
}

#[derive(Debug, Deserialize)]
struct Started {
    start_time: String,
}

/// From when each was due to the start of its task, in milliseconds.
async fn latencies(api: &mut Connection, dues: &HashMap<Uuid, i64>) -> anyhow::Result<Vec<f64>> {
    let mut latencies = Vec::with_capacity(dues.len());
    let mut skip = 0;
    while latencies.len() < dues.len() {
        let page: Vec<Whole> = api
            .get(&format!("/flow_runs/all?skip={skip}&limit=500"))
            .await?;
        ensure!(!page.is_empty(), "a run is gone");
        skip += page.len();
        for run in page {
            let Some(due) = dues.get(&run.id) else {
                continue;
            };
            let task = run.task_runs.first().context("a run without its task")?;
            latencies.push((micros(&task.start_time)? - due) as f64 / 1e3);
        }
    }
    Ok(latencies)
}

/// Microseconds since 1970.
fn clock() -> i64 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH);
    since.map_or(0, |since| since.as_micros() as i64)
}

/// Microseconds since 1970 of an RFC 3339 time.
fn micros(text: &str) -> anyhow::Result<i64> {
    Ok(chrono::DateTime::parse_from_rfc3339(text)?.timestamp_micros())
}
