//! A cancel and a completion at the same moment: one of them decides, and nothing starts after a cancel.

use std::time::Duration;

use futures_util::{StreamExt, stream};
use reqwest::Method;
use uuid::Uuid;

use crate::check::{Expect, check, settle};
use crate::client::{Call, Client};
use crate::keep::Fleet;
use crate::lab::Lab;
use crate::load::PARALLEL;
use crate::random::Random;
use crate::report::Outcome;
use crate::site::Through;
use crate::stage::Stage;

use super::shapes::sleeps;

/// What the client was told.
enum Told {
    Cancelled,
    TooLate,
    Odd(String),
}

pub async fn run(lab: &Lab) -> anyhow::Result<Outcome> {
    let mut outcome = Outcome::default();
    let mut stage = Stage::set(lab, sleeps(&[0.02, 0.02, 0.0])).await?;
    stage.site.set("NEENA_WORKER_CONCURRENCY", 32);
    let mut fleet = Fleet::start(&stage.site, 2, Through::default()).await?;
    let runs = stage.client.runs(&stage.flow, lab.count(10_000)).await?;
    outcome.offered = runs.len();
    let mut random = Random::new(lab.seed);
    let moments: Vec<(Uuid, Duration)> = runs
        .iter()
        .map(|run| {
            (
                *run,
                random.between(Duration::ZERO, Duration::from_millis(160)),
            )
        })
        .collect();
    let raced = stream::iter(moments).map(|(run, moment)| race(&stage.client, run, moment));
    let raced: Vec<Option<(Uuid, Told)>> = raced.buffer_unordered(PARALLEL).collect().await;
    let raced: Vec<(Uuid, Told)> = raced.into_iter().flatten().collect();
    let accepted: Vec<Uuid> = raced.iter().map(|(run, _)| *run).collect();
    outcome.acknowledged = accepted.len();
    let recovery = settle(&stage.site.pool, &accepted, lab.patience(60)).await?;
    outcome.recovery_seconds = Some(recovery.as_secs_f64());
    let expect = Expect {
        any_status: true,
        ..Expect::completed(&accepted, &stage.shape)
    };
    check(&stage.site, expect, &mut outcome).await?;
    let with = |wanted: fn(&Told) -> bool| -> Vec<Uuid> {
        raced
            .iter()
            .filter(|(_, told)| wanted(told))
            .map(|(run, _)| *run)
            .collect()
    };
    let cancelled = with(|told| matches!(told, Told::Cancelled));
    let late = with(|told| matches!(told, Told::TooLate));
    let odd: Vec<&String> = raced
        .iter()
        .filter_map(|(_, told)| match told {
            Told::Odd(text) => Some(text),
            _ => None,
        })
        .collect();
    outcome.must(
        odd.is_empty(),
        format!("{} calls were answered oddly: {:?}", odd.len(), odd.first()),
    );
    let differing = "SELECT count(*) FROM flow_runs WHERE id = ANY($1) AND status <> $2";
    for (runs, status) in [(&cancelled, "cancelled"), (&late, "completed")] {
        let count: i64 = sqlx::query_scalar(differing)
            .bind(runs)
            .bind(status)
            .fetch_one(&stage.site.pool)
            .await?;
        outcome.must(
            count == 0,
            format!("{count} runs are not {status} although the client was told so"),
        );
    }
    let twice = "SELECT count(*) FROM (SELECT run_id FROM chaos.messages WHERE what = 'stored' \
         AND kind IN ('flow_run.completed', 'flow_run.cancelled', 'flow_run.failed') GROUP BY run_id HAVING count(*) > 1) AS twice";
    let twice: i64 = sqlx::query_scalar(twice)
        .fetch_one(&stage.site.pool)
        .await?;
    outcome.must(twice == 0, format!("{twice} runs told of two ends"));
    let started = "SELECT count(*), coalesce(max(t.start_time - r.end_time), 0) FROM task_runs t JOIN flow_runs r ON r.id = t.run_id \
         WHERE r.status = 'cancelled' AND t.start_time > r.end_time";
    let (count, most): (i64, i64) = sqlx::query_as(started).fetch_one(&stage.site.pool).await?;
    outcome.figure(format!(
        "{} cancelled in time, {} completed before; {count} tasks started after a cancel was committed (at most {:.3} s)",
        cancelled.len(),
        late.len(),
        most as f64 / 1e6
    ));
    let enabled = "SELECT count(*) FROM task_runs t JOIN flow_runs r ON r.id = t.run_id \
         JOIN chaos.writes w ON w.run_id = t.run_id AND w.idx = t.idx - 1 \
         WHERE r.status = 'cancelled' AND t.start_time > r.end_time AND w.at > r.end_time";
    let enabled: i64 = sqlx::query_scalar(enabled)
        .fetch_one(&stage.site.pool)
        .await?;
    outcome.must(
        enabled == 0,
        format!("{enabled} tasks started on outcomes that were recorded after the cancel"),
    );
    let least = accepted.len() / 20;
    outcome.means(
        cancelled.len() >= least && late.len() >= least,
        "the race was hardly one",
    );
    // What was enabled before the cancel may start until its owner hears of it.
    outcome.must(most < 500_000, "tasks started long after a cancel");
    fleet.stop().await?;
    stage.site.close().await;
    Ok(outcome)
}

async fn race(client: &Client, run: Uuid, moment: Duration) -> Option<(Uuid, Told)> {
    client.approve(run).await.ok()?;
    tokio::time::sleep(moment).await;
    let path = format!("/flow_runs/cancel?flow_run_id={run}");
    let told = match client.call(Method::PUT, &path, None, None).await {
        Call::Done(_) => Told::Cancelled,
        Call::Refused(409, _) => Told::TooLate,
        other => Told::Odd(format!("{other:?}")),
    };
    Some((run, told))
}
