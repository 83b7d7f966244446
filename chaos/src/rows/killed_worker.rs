//! `kill -9` of a random worker every two seconds: the lease lapses, another one goes on.

use std::collections::HashMap;
use std::time::{Duration, Instant};

use sqlx::Row;
use uuid::Uuid;

use crate::check::{Expect, check, settle};
use crate::keep::Fleet;
use crate::lab::Lab;
use crate::load::runs_of;
use crate::random::Random;
use crate::report::{Outcome, spread};
use crate::sink::{Sink, now};
use crate::site::{Site, Through};
use crate::stage::Stage;

use super::shapes::five;

const WORKERS: usize = 4;
const EVERY: Duration = Duration::from_secs(2);
const LEASE: Duration = Duration::from_secs(4);

/// What a kill met.
struct Met {
    at: i64,
    /// The run and the epoch it was held under.
    held: Vec<(Uuid, i64)>,
}

pub async fn run(lab: &Lab) -> anyhow::Result<Outcome> {
    let mut outcome = Outcome::default();
    let (count, time) = (lab.count(1_000), lab.time(60));
    let sink = Sink::start().await?;
    let stage = Stage::set(lab, five(&sink.url)).await?;
    let mut fleet = Fleet::start(&stage.site, WORKERS, Through::default()).await?;
    let runs = stage.client.runs(&stage.flow, count).await?;
    outcome.offered = runs.len();
    let mut random = Random::new(lab.seed);
    let (accepted, met) = tokio::join!(
        stage.client.approve_over(&runs, time),
        kills(&stage.site, &mut fleet, &mut random, time)
    );
    let (accepted, met) = (runs_of(&accepted), met?);
    outcome.acknowledged = accepted.len();
    let recovery = settle(&stage.site.pool, &accepted, lab.patience(180)).await?;
    outcome.recovery_seconds = Some(recovery.as_secs_f64());
    let effects = sink.effects();
    let expect = Expect {
        effects: Some(&effects),
        condemned: 1,
        ..Expect::completed(&accepted, &stage.shape)
    };
    check(&stage.site, expect, &mut outcome).await?;
    let (resumed, never) = resumed(&stage.site, &met).await?;
    let caught = resumed.len();
    let (middle, resumed_p99, most) = spread(resumed);
    outcome.figure(format!(
        "{} kills met {caught} runs; resumed after {middle:.2} s (middle), {resumed_p99:.2} s (p99), {most:.2} s (most)",
        met.len()
    ));
    let freed = freed(&stage.site, &met).await?;
    let (middle, p99, most) = spread(freed);
    outcome.figure(format!(
        "of that until they were free: {middle:.2} s, {p99:.2} s, {most:.2} s"
    ));
    let p99 = resumed_p99;
    let limit = (LEASE + Duration::from_secs(2)).as_secs_f64();
    outcome.must(
        never == 0,
        format!("{never} runs of killed workers were never taken again"),
    );
    outcome.must(
        p99 <= limit,
        format!("p99 of resuming is {p99:.2} s, more than {limit} s"),
    );
    outcome.means(
        caught >= met.len(),
        "the kills met too few runs to mean anything",
    );
    fleet.stop().await?;
    stage.site.close().await;
    Ok(outcome)
}

async fn kills(
    site: &Site<'_>,
    fleet: &mut Fleet,
    random: &mut Random,
    time: Duration,
) -> anyhow::Result<Vec<Met>> {
    let began = Instant::now();
    let mut met = Vec::new();
    while began.elapsed() + EVERY <= time {
        tokio::time::sleep(EVERY).await;
        let worker = &mut fleet.workers[random.below(WORKERS)];
        let at = now();
        worker.process.kill().await?;
        let held = held_by(site, &worker.process.name).await?;
        met.push(Met { at, held });
        worker.again(site)?;
    }
    Ok(met)
}

/// The runs that a process holds, and under which epoch.
pub async fn held_by(site: &Site<'_>, app: &str) -> anyhow::Result<Vec<(Uuid, i64)>> {
    let sql = "SELECT l.run_id, l.epoch FROM live_runs l JOIN chaos.claims c ON c.run_id = l.run_id AND c.epoch = l.epoch \
         WHERE c.app = $1 AND l.owner IS NOT NULL";
    let rows = sqlx::query(sql).bind(app).fetch_all(&site.pool).await?;
    rows.iter()
        .map(|row| Ok((row.try_get(0)?, row.try_get(1)?)))
        .collect()
}

/// How long each run of a killed worker waited for its next claim, and how many have waited in vain.
async fn resumed(site: &Site<'_>, met: &[Met]) -> anyhow::Result<(Vec<Duration>, usize)> {
    let claims = times(site, "claims").await?;
    let mut waited = Vec::new();
    let mut never = 0;
    for kill in met {
        for (run, epoch) in &kill.held {
            match claims.get(&(*run, epoch + 1)) {
                Some(at) => waited.push(Duration::from_micros((at - kill.at).max(0) as u64)),
                None => never += 1,
            }
        }
    }
    Ok((waited, never))
}

/// How long each run of a killed worker was held by it.
async fn freed(site: &Site<'_>, met: &[Met]) -> anyhow::Result<Vec<Duration>> {
    let frees = times(site, "frees").await?;
    let waited = met.iter().flat_map(|kill| {
        let freed = kill.held.iter().filter_map(|held| frees.get(held));
        freed.map(|at| Duration::from_micros((at - kill.at).max(0) as u64))
    });
    Ok(waited.collect())
}

/// When runs were claimed, or freed, by run and epoch.
async fn times(site: &Site<'_>, what: &str) -> anyhow::Result<HashMap<(Uuid, i64), i64>> {
    let sql = format!("SELECT run_id, epoch, at FROM chaos.{what}");
    let rows = sqlx::query(sqlx::AssertSqlSafe(sql))
        .fetch_all(&site.pool)
        .await?;
    rows.iter()
        .map(|row| Ok(((row.try_get(0)?, row.try_get(1)?), row.try_get(2)?)))
        .collect()
}
