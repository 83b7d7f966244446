//! One answer to a commit in ten never arrives, and its connection with it: the same batch is sent again.

use std::time::Duration;

use crate::check::{Expect, check, settle};
use crate::keep::Fleet;
use crate::lab::Lab;
use crate::load::runs_of;
use crate::proxy::{Eat, Proxy};
use crate::report::Outcome;
use crate::sink::Sink;
use crate::site::{Site, Through, port_of};
use crate::stage::Stage;

use super::shapes::five;

pub async fn run(lab: &Lab) -> anyhow::Result<Outcome> {
    let mut outcome = Outcome::default();
    let proxy = Proxy::start(port_of(&lab.servers.postgres)?, lab.seed).await?;
    let through = Through {
        postgres: Some(proxy.port),
        ..Through::default()
    };
    let sink = Sink::start().await?;
    let site = Site::open(lab).await?;
    let mut stage = Stage::on(site, five(&sink.url), Through::default()).await?;
    let runs = stage.client.runs(&stage.flow, lab.count(2_000)).await?;
    outcome.offered = runs.len();
    proxy.eat(Eat::Commits(10));
    stage.api_goes(through.clone()).await?;
    let mut fleet = Fleet::start(&stage.site, 4, through).await?;
    let time = Duration::from_millis(60 * runs.len() as u64);
    let approved = stage.client.approve_over(&runs, time).await;
    let accepted = runs_of(&approved);
    outcome.acknowledged = accepted.len();
    let recovery = settle(&stage.site.pool, &accepted, lab.patience(120)).await?;
    outcome.recovery_seconds = Some(recovery.as_secs_f64());
    let (seen, eaten) = proxy.eaten();
    let again: u32 = approved.iter().map(|one| one.tries - 1).sum();
    outcome.figure(format!(
        "{eaten} of {seen} answers to commits were eaten; clients asked again {again} times"
    ));
    outcome.means(eaten > 20, "too few answers were eaten to mean anything");
    let effects = sink.effects();
    let expect = Expect {
        effects: Some(&effects),
        condemned: 1,
        ..Expect::completed(&accepted, &stage.shape)
    };
    check(&stage.site, expect, &mut outcome).await?;
    let approvals: i64 = sqlx::query_scalar("SELECT count(*) FROM approvals")
        .fetch_one(&stage.site.pool)
        .await?;
    outcome.must(
        approvals as usize == accepted.len(),
        format!("{approvals} approvals of {} runs", accepted.len()),
    );
    fleet.stop().await?;
    stage.site.close().await;
    Ok(outcome)
}
