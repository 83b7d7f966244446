//! The broker takes nothing for want of memory: messages wait in the outbox, everything else goes on.

use std::time::{Duration, Instant};

use crate::check::{Expect, check, settle};
use crate::keep::Fleet;
use crate::lab::Lab;
use crate::load::runs_of;
use crate::report::Outcome;
use crate::sink::Sink;
use crate::site::{Site, Through};
use crate::stage::Stage;

use super::shapes::five;

pub async fn run(lab: &Lab) -> anyhow::Result<Outcome> {
    let mut outcome = Outcome::default();
    let sink = Sink::start().await?;
    let stage = Stage::set(lab, five(&sink.url)).await?;
    let mut fleet = Fleet::start(&stage.site, 2, Through::default()).await?;
    let time = lab.time(60);
    let runs = stage.client.runs(&stage.flow, lab.count(500)).await?;
    outcome.offered = runs.len();
    lab.servers
        .ctl(&["set_vm_memory_high_watermark", "0"])
        .await?;
    let (approved, ready) = tokio::join!(stage.client.approve_over(&runs, time), async {
        tokio::time::sleep(time.div_f64(2.0)).await;
        stage.client.page("/readyz").await
    });
    let (status, said) = ready?;
    let waiting = waiting(&stage.site).await?;
    let ended: i64 =
        sqlx::query_scalar("SELECT count(*) FROM flow_runs WHERE status = 'completed'")
            .fetch_one(&stage.site.pool)
            .await?;
    lab.servers
        .ctl(&["set_vm_memory_high_watermark", "0.4"])
        .await?;
    let drained = drained(&stage.site).await?;
    let accepted = runs_of(&approved);
    outcome.acknowledged = accepted.len();
    let again: u32 = approved.iter().map(|one| one.tries - 1).sum();
    outcome.figure(format!(
        "blocked for {} s: /readyz {status} {}; {ended} runs completed meanwhile, {waiting} messages waited, drained {:.1} s after",
        time.as_secs(),
        said.trim(),
        drained.as_secs_f64()
    ));
    outcome.must(
        again == 0,
        format!("{again} approvals were not answered at once"),
    );
    outcome.must(
        status == 200,
        "/readyz is not 200 while the broker is blocked",
    );
    outcome.means(
        waiting as usize >= accepted.len(),
        "messages did not wait: was the broker blocked?",
    );
    outcome.must(
        ended as usize * 2 > accepted.len(),
        "runs did not go on while the broker was blocked",
    );
    outcome.must(
        drained <= Duration::from_secs(10),
        "the outbox took more than 10 s to drain",
    );
    let recovery = settle(&stage.site.pool, &accepted, lab.patience(60)).await?;
    outcome.recovery_seconds = Some(recovery.as_secs_f64());
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

async fn waiting(site: &Site<'_>) -> anyhow::Result<i64> {
    Ok(sqlx::query_scalar("SELECT count(*) FROM outbox")
        .fetch_one(&site.pool)
        .await?)
}

/// How long until the outbox was empty once.
async fn drained(site: &Site<'_>) -> anyhow::Result<Duration> {
    let began = Instant::now();
    while waiting(site).await? > 0 && began.elapsed() < Duration::from_secs(60) {
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    Ok(began.elapsed())
}
