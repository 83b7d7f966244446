//! Every answer of the database takes half a second longer: leases are kept, and it is as quick as before afterwards.

use std::time::Duration;

use crate::check::{Expect, check, settle};
use crate::keep::Fleet;
use crate::lab::Lab;
use crate::load::runs_of;
use crate::proxy::{Mode, Proxy};
use crate::report::Outcome;
use crate::sink::now;
use crate::site::{Site, Through, port_of};
use crate::stage::Stage;

use super::shapes::sleeps;

/// Runs approved each second.
const RATE: usize = 10;

pub async fn run(lab: &Lab) -> anyhow::Result<Outcome> {
    let mut outcome = Outcome::default();
    let proxy = Proxy::start(port_of(&lab.servers.postgres)?, lab.seed).await?;
    let through = Through {
        postgres: Some(proxy.port),
        ..Through::default()
    };
    let site = Site::open(lab).await?;
    let mut stage = Stage::on(site, sleeps(&[0.1, 0.1]), through.clone()).await?;
    stage.site.set("NEENA_WORKER_CONCURRENCY", 16);
    let mut fleet = Fleet::start(&stage.site, 3, through).await?;
    let slow = lab.time(60);
    let before = Duration::from_secs(10);
    let after = Duration::from_secs(20);
    let whole = before + slow + after;
    let runs = stage
        .client
        .runs(&stage.flow, RATE * whole.as_secs() as usize)
        .await?;
    outcome.offered = runs.len();
    let (approved, ended) = tokio::join!(stage.client.approve_over(&runs, whole), async {
        tokio::time::sleep(before).await;
        proxy.set(Mode::Delay(Duration::from_millis(500)));
        tokio::time::sleep(slow).await;
        proxy.set(Mode::Pass);
        now()
    });
    let accepted = runs_of(&approved);
    outcome.acknowledged = accepted.len();
    settle(&stage.site.pool, &accepted, lab.patience(60)).await?;
    let window =
        "SELECT count(*) FROM chaos.statuses WHERE after = 'completed' AND at >= $1 AND at < $2";
    let completed: i64 = sqlx::query_scalar(window)
        .bind(ended + 10_000_000)
        .bind(ended + 20_000_000)
        .fetch_one(&stage.site.pool)
        .await?;
    let takeovers: i64 = sqlx::query_scalar("SELECT count(*) FROM chaos.claims WHERE epoch > 1")
        .fetch_one(&stage.site.pool)
        .await?;
    let buried: i64 = sqlx::query_scalar("SELECT count(*) FROM workers WHERE state = 'dead'")
        .fetch_one(&stage.site.pool)
        .await?;
    let again: u32 = approved.iter().map(|one| one.tries - 1).sum();
    let rate = completed as f64 / 10.0;
    outcome.figure(format!(
        "{} s of 500 ms more: {takeovers} takeovers, {buried} workers declared dead, approvals asked again {again} times; \
         10 s later {rate:.1} of {RATE} runs complete each second",
        slow.as_secs()
    ));
    outcome.must(
        takeovers == 0 && buried == 0,
        "living workers were taken for dead",
    );
    outcome.must(
        rate >= 0.9 * RATE as f64,
        "it is slower than before 10 s after",
    );
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
