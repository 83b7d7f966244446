//! The broker is down while runs are approved: the outbox keeps what is to be said.

use std::time::Duration;

use crate::check::{Expect, check, settle};
use crate::keep::Fleet;
use crate::lab::Lab;
use crate::load::runs_of;
use crate::report::{Outcome, spread};
use crate::servers::Server;
use crate::site::Through;
use crate::stage::Stage;

use super::shapes::echo;

pub async fn run(lab: &Lab) -> anyhow::Result<Outcome> {
    let mut outcome = Outcome::default();
    let stage = Stage::set(lab, echo()).await?;
    let mut fleet = Fleet::start(&stage.site, 2, Through::default()).await?;
    let (count, time) = (lab.count(1_000), lab.time(60));
    let runs = stage.client.runs(&stage.flow, count + count / 4).await?;
    let (usual, away) = runs.split_at(count / 4);
    let usual = stage.client.approve_over(usual, time.div_f64(4.0)).await;
    outcome.offered = away.len();
    lab.servers.down(Server::Rabbit).await?;
    let (approved, ready) = tokio::join!(stage.client.approve_over(away, time), async {
        tokio::time::sleep(time.div_f64(2.0)).await;
        stage.client.page("/readyz").await
    });
    let (status, said) = ready?;
    outcome.figure(format!(
        "/readyz without a broker: {status} {}",
        said.trim()
    ));
    outcome.must(status == 200, "/readyz is not 200 without a broker");
    outcome.must(
        said.contains("degraded"),
        "/readyz does not say that it is degraded",
    );
    let waiting: i64 = sqlx::query_scalar("SELECT count(*) FROM outbox")
        .fetch_one(&stage.site.pool)
        .await?;
    lab.servers.up(Server::Rabbit).await?;
    let tries: u32 = approved.iter().map(|one| one.tries - 1).sum();
    outcome.must(
        tries == 0,
        format!("{tries} approvals were not answered at once"),
    );
    let p99 = |all: &[crate::load::Approved]| spread(all.iter().map(|one| one.took).collect()).1;
    let (normal, without) = (p99(&usual), p99(&approved));
    outcome.figure(format!(
        "p99 of approvals {:.0} ms with the broker, {:.0} ms without; {waiting} messages waited in the outbox",
        normal * 1e3,
        without * 1e3
    ));
    outcome.must(
        without <= (2.0 * normal).max(0.1),
        "approvals are slower without a broker",
    );
    let accepted = runs_of(&approved);
    outcome.acknowledged = accepted.len();
    let recovery = settle(&stage.site.pool, &accepted, lab.patience(30)).await?;
    outcome.recovery_seconds = Some(recovery.as_secs_f64());
    outcome.must(
        recovery < Duration::from_secs(30),
        "not all final 30 s after the broker came back",
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
