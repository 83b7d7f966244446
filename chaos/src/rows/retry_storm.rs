//! Thousands of runs fail at the same moment and are tried again: spread out, not all at once.

use std::collections::BTreeMap;

use serde_json::json;

use crate::check::{Expect, check, settle};
use crate::client::Shape;
use crate::keep::Fleet;
use crate::lab::Lab;
use crate::load::{PARALLEL, runs_of};
use crate::report::Outcome;
use crate::site::Through;
use crate::stage::Stage;

/// Seconds of the first wait; each further one is twice as long at most.
const DELAY: i64 = 8;

pub async fn run(lab: &Lab) -> anyhow::Result<Outcome> {
    let mut outcome = Outcome::default();
    let mut shape = Shape::default().then("core.fail", json!({ "times": 2 }), &[]);
    let retry = json!({ "max_attempts": 4, "delay_seconds": DELAY, "backoff": "exponential", "max_delay_seconds": 60 });
    for operation in &mut shape.operations {
        operation.retry = Some(retry.clone());
    }
    let mut stage = Stage::set(lab, shape).await?;
    stage.site.set("NEENA_WORKER_CONCURRENCY", 64);
    stage.site.set("NEENA_WORKER_RUNS", 2_000);
    let runs = stage.client.runs(&stage.flow, lab.count(5_000)).await?;
    outcome.offered = runs.len();
    // Approved while nobody works: the first attempts come in one burst, as after an outage.
    let accepted = runs_of(&stage.client.approve_all(&runs, PARALLEL).await);
    outcome.acknowledged = accepted.len();
    let mut fleet = Fleet::start(&stage.site, 3, Through::default()).await?;
    let recovery = settle(&stage.site.pool, &accepted, lab.patience(180)).await?;
    outcome.recovery_seconds = Some(recovery.as_secs_f64());
    let first = starts(&stage.site.pool, "attempt = 1").await?;
    let again = starts(&stage.site.pool, "attempt > 1").await?;
    let burst = first.values().max().copied().unwrap_or_default();
    let peak = again.values().max().copied().unwrap_or_default();
    let all: i64 = again.values().sum();
    // Steady: what the retries come to if they are spread over the first wait and the second.
    let steady = all as f64 / (3 * DELAY) as f64;
    outcome.figure(format!(
        "first attempts at most {burst}/s; {all} retries, at most {peak}/s, {steady:.0}/s if spread evenly over their waits"
    ));
    outcome.means(all as usize >= accepted.len(), "too few retries");
    outcome.must(peak as f64 <= 2.5 * steady, "retries come in a storm");
    check(
        &stage.site,
        Expect::completed(&accepted, &stage.shape),
        &mut outcome,
    )
    .await?;
    fleet.stop().await?;
    stage.site.close().await;
    Ok(outcome)
}

/// Attempts started in each second.
async fn starts(pool: &sqlx::PgPool, which: &str) -> anyhow::Result<BTreeMap<i64, i64>> {
    let sql = format!(
        "SELECT start_time / 1000000 AS second, count(*) FROM (SELECT attempt, start_time FROM task_attempts \
         UNION ALL SELECT attempt, start_time FROM task_runs) AS tries WHERE {which} AND start_time IS NOT NULL GROUP BY 1"
    );
    let rows: Vec<(i64, i64)> = sqlx::query_as(sqlx::AssertSqlSafe(sql))
        .fetch_all(pool)
        .await?;
    Ok(rows.into_iter().collect())
}
