//! A worker is silent past its lease, then wakes and writes: nothing of it lands. Once by SIGSTOP, once by cutting
//! it off the database.

use std::time::{Duration, Instant};

use crate::check::{Expect, check, settle};
use crate::keep::{Fleet, Worker};
use crate::lab::Lab;
use crate::load::{PARALLEL, runs_of};
use crate::process::signal;
use crate::proxy::{Mode, Proxy};
use crate::report::Outcome;
use crate::site::{Site, Through, port_of};
use crate::stage::Stage;

use super::killed_worker::held_by;
use super::shapes::sleeps;

const LEASE: Duration = Duration::from_secs(4);

pub async fn run(lab: &Lab) -> anyhow::Result<Outcome> {
    let mut outcome = Outcome::default();
    let proxy = Proxy::start(port_of(&lab.servers.postgres)?, lab.seed).await?;
    let site = Site::open(lab).await?;
    // The first task ends while the worker is silent, and long after its runs were taken by another.
    let mut stage = Stage::on(site, sleeps(&[6.5, 0.0]), Through::default()).await?;
    stage.site.set("NEENA_WORKER_CONCURRENCY", 1_000);
    stage.site.set("NEENA_WORKER_RUNS", 1_000);
    let mut all = Vec::new();
    let mut tried = 0.0;
    let (mut fenced_of, mut told) = (Vec::new(), true);
    for way in ["stopped", "cut off the database"] {
        let count = lab.count(500);
        let runs = stage.client.runs(&stage.flow, count).await?;
        outcome.offered += runs.len();
        let through = Through {
            postgres: Some(proxy.port),
            ..Through::default()
        };
        let mut zombie = Fleet::start(&stage.site, 1, through).await?;
        let approved = stage.client.approve_all(&runs, PARALLEL).await;
        let accepted = runs_of(&approved);
        outcome.acknowledged += accepted.len();
        let held = held(&stage.site, &zombie.workers[0], accepted.len()).await?;
        let before = zombie.workers[0]
            .metric("neena_fenced_writes_total")
            .await
            .unwrap_or(0.0);
        let pid = zombie.workers[0].process.pid;
        match way {
            "stopped" => signal(pid, "STOP")?,
            _ => proxy.set(Mode::Cut),
        }
        let mut heir = Worker::start(&stage.site, 100 + all.len(), Through::default())?;
        tokio::time::sleep(LEASE * 2).await;
        match way {
            "stopped" => signal(pid, "CONT")?,
            _ => proxy.set(Mode::Pass),
        }
        let took = settle(&stage.site.pool, &accepted, lab.patience(120)).await?;
        outcome.recovery_seconds = Some(
            took.as_secs_f64()
                .max(outcome.recovery_seconds.unwrap_or(0.0)),
        );
        let after = zombie.workers[0].metric("neena_fenced_writes_total").await;
        told &= after.is_some();
        let fenced = after.unwrap_or(0.0) - before;
        tried += fenced;
        fenced_of.push(format!(
            "{way} with {held} runs held: {fenced} writes refused"
        ));
        all.extend(accepted);
        zombie.stop().await?;
        heir.process.terminate(Duration::from_secs(40)).await?;
    }
    let landed = "SELECT count(*) FROM chaos.writes WHERE epoch <> stood_epoch OR app <> stood_app";
    let landed: i64 = sqlx::query_scalar(landed)
        .fetch_one(&stage.site.pool)
        .await?;
    outcome.figure(format!("{}; {landed} landed", fenced_of.join("; ")));
    outcome.means(
        told,
        "the worker does not tell how many of its writes were refused",
    );
    let least = all.len() as f64 / 2.0;
    outcome.means(
        tried + landed as f64 >= least,
        format!("only {tried} stale writes were tried"),
    );
    check(
        &stage.site,
        Expect::completed(&all, &stage.shape),
        &mut outcome,
    )
    .await?;
    stage.site.close().await;
    Ok(outcome)
}

/// Waits until the worker holds them all, for a while; how many it holds.
async fn held(site: &Site<'_>, worker: &Worker, count: usize) -> anyhow::Result<usize> {
    let began = Instant::now();
    loop {
        let held = held_by(site, &worker.process.name).await?.len();
        if held >= count || began.elapsed() > Duration::from_secs(3) {
            return Ok(held);
        }
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
}
