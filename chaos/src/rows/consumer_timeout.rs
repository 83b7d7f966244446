//! Runs that last longer than the broker lets a delivery go unacknowledged, and connections closed by force.

use std::time::Duration;

use crate::check::{Expect, check, settle};
use crate::keep::Fleet;
use crate::lab::Lab;
use crate::load::{PARALLEL, runs_of};
use crate::report::Outcome;
use crate::site::Through;
use crate::stage::Stage;

use super::shapes::sleeps;

pub async fn run(lab: &Lab) -> anyhow::Result<Outcome> {
    let mut outcome = Outcome::default();
    let time = lab.time(180);
    let limit = time.div_f64(3.0).as_millis();
    let set = format!("application:set_env(rabbit, consumer_timeout, {limit}).");
    lab.servers.ctl(&["eval", &set]).await?;
    let mut stage = Stage::set(lab, sleeps(&[time.as_secs_f64()])).await?;
    stage.site.set("NEENA_WORKER_CONCURRENCY", 64);
    let mut fleet = Fleet::start(&stage.site, 2, Through::default()).await?;
    let runs = stage.client.runs(&stage.flow, 50).await?;
    outcome.offered = runs.len();
    let said = lab.servers.rabbit_log().len();
    let mut accepted = runs_of(&stage.client.approve_all(&runs, PARALLEL).await);
    let first = settle(&stage.site.pool, &accepted, time + Duration::from_secs(60)).await?;
    let log = lab.servers.rabbit_log();
    let closes = log
        .get(said..)
        .unwrap_or_default()
        .matches("consumer ack timed out")
        .count();
    outcome.figure(format!(
        "{} runs of {} s with a consumer timeout of {} s took {:.0} s: {closes} channels were closed",
        runs.len(),
        time.as_secs(),
        limit / 1_000,
        first.as_secs_f64()
    ));
    outcome.must(
        closes == 0,
        format!("{closes} channels were closed by the consumer timeout"),
    );
    // The other half: connections closed by force while short runs go by.
    let forced = lab.count(100);
    let shut = format!(
        "lists:foreach(fun(_) -> [catch rabbit_networking:close_connection(P, \"forced\") || P <- rabbit_networking:connections()], \
         timer:sleep(300) end, lists:seq(1, {forced}))."
    );
    let flow = stage.client.flow(&sleeps(&[0.1])).await?;
    let more = stage.client.runs(&flow, lab.count(500)).await?;
    outcome.offered += more.len();
    let arguments = ["--timeout", "600", "eval", &shut];
    let (approved, shut) = tokio::join!(
        stage
            .client
            .approve_over(&more, Duration::from_millis(300 * forced as u64)),
        lab.servers.ctl(&arguments)
    );
    shut?;
    let unset = "application:set_env(rabbit, consumer_timeout, 1800000).";
    lab.servers.ctl(&["eval", unset]).await?;
    accepted.extend(runs_of(&approved));
    outcome.acknowledged = accepted.len();
    outcome.figure(format!(
        "all connections closed by force {forced} times while {} runs were approved",
        more.len()
    ));
    let recovery = settle(&stage.site.pool, &accepted, lab.patience(60)).await?;
    outcome.recovery_seconds = Some(recovery.as_secs_f64());
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
