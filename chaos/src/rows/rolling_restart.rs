//! Workers are told to stop one after the other under load: what they hold goes to the others at once.

use std::collections::HashMap;
use std::time::{Duration, Instant};

use sqlx::Row;
use uuid::Uuid;

use crate::check::{Expect, check, settle};
use crate::keep::Fleet;
use crate::lab::Lab;
use crate::load::runs_of;
use crate::report::{Outcome, spread};
use crate::sink::Sink;
use crate::site::{READY, Site, Through};
use crate::stage::Stage;

use super::shapes::five;

const WORKERS: usize = 4;
const GRACE: Duration = Duration::from_secs(5);

pub async fn run(lab: &Lab) -> anyhow::Result<Outcome> {
    let mut outcome = Outcome::default();
    let sink = Sink::start().await?;
    let stage = Stage::set(lab, five(&sink.url)).await?;
    let mut fleet = Fleet::start(&stage.site, WORKERS, Through::default()).await?;
    let restarts = ((20.0 * lab.scale).ceil() as usize).clamp(4, 20);
    let time = Duration::from_secs(3) * restarts as u32;
    let runs = stage.client.runs(&stage.flow, lab.count(1_000)).await?;
    outcome.offered = runs.len();
    let (approved, exits) = tokio::join!(
        stage.client.approve_over(&runs, time),
        roll(&stage.site, &mut fleet, restarts)
    );
    let (accepted, exits) = (runs_of(&approved), exits?);
    outcome.acknowledged = accepted.len();
    let recovery = settle(&stage.site.pool, &accepted, lab.patience(120)).await?;
    outcome.recovery_seconds = Some(recovery.as_secs_f64());
    let (_, _, slowest) = spread(exits);
    let (taken, left) = takeovers(&stage.site).await?;
    let count = taken.len();
    let (middle, p99, most) = spread(taken);
    outcome.figure(format!(
        "{restarts} workers told to stop: exit after {slowest:.1} s at most; {count} runs handed over after {middle:.2} s (middle), {p99:.2} s (p99), {most:.2} s (most)"
    ));
    outcome.must(
        slowest <= (GRACE + Duration::from_secs(1)).as_secs_f64(),
        "an exit took longer than the grace and a second",
    );
    outcome.must(p99 <= 1.0, "handing over takes more than a second");
    outcome.must(
        left == 0,
        format!("{left} runs that were given back were never taken"),
    );
    let effects = sink.effects();
    let expect = Expect {
        effects: Some(&effects),
        ..Expect::completed(&accepted, &stage.shape)
    };
    check(&stage.site, expect, &mut outcome).await?;
    fleet.stop().await?;
    stage.site.close().await;
    Ok(outcome)
}

async fn roll(site: &Site<'_>, fleet: &mut Fleet, times: usize) -> anyhow::Result<Vec<Duration>> {
    let mut exits = Vec::new();
    for time in 0..times {
        let began = Instant::now();
        let worker = &mut fleet.workers[time % WORKERS];
        let (took, status) = worker.process.terminate(Duration::from_secs(60)).await?;
        anyhow::ensure!(
            status.success(),
            "{} ended with {status}",
            worker.process.name
        );
        exits.push(took);
        worker.again(site)?;
        // The next one is told when this one works again, as whoever rolls out a version does.
        worker
            .process
            .says(READY, |line| line.contains("ready").then_some(()))
            .await?;
        tokio::time::sleep(Duration::from_secs(3).saturating_sub(began.elapsed())).await;
    }
    Ok(exits)
}

/// How long runs that were given back waited for their next claim, and how many wait for ever.
async fn takeovers(site: &Site<'_>) -> anyhow::Result<(Vec<Duration>, usize)> {
    let rows = sqlx::query("SELECT run_id, epoch, at FROM chaos.claims")
        .fetch_all(&site.pool)
        .await?;
    let claims: HashMap<(Uuid, i64), i64> = rows
        .iter()
        .map(|row| Ok(((row.try_get(0)?, row.try_get(1)?), row.try_get(2)?)))
        .collect::<anyhow::Result<_>>()?;
    let frees = sqlx::query("SELECT run_id, epoch, at FROM chaos.frees WHERE phase = 'ready'")
        .fetch_all(&site.pool)
        .await?;
    let (mut taken, mut left) = (Vec::new(), 0);
    for row in &frees {
        let (run, epoch, at): (Uuid, i64, i64) =
            (row.try_get(0)?, row.try_get(1)?, row.try_get(2)?);
        match claims.get(&(run, epoch + 1)) {
            Some(next) => taken.push(Duration::from_micros((next - at).max(0) as u64)),
            None => left += 1,
        }
    }
    Ok((taken, left))
}
