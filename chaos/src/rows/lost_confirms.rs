//! One confirm of the broker in ten never arrives: after a while the message is published again.

use std::time::Duration;

use crate::check::{Expect, check, settle};
use crate::keep::Fleet;
use crate::lab::Lab;
use crate::load::runs_of;
use crate::proxy::{Eat, Proxy};
use crate::report::Outcome;
use crate::site::{Site, Through, port_of};
use crate::stage::Stage;

use super::shapes::echo;

pub async fn run(lab: &Lab) -> anyhow::Result<Outcome> {
    let mut outcome = Outcome::default();
    let proxy = Proxy::start(port_of(&lab.servers.amqp)?, lab.seed).await?;
    proxy.eat(Eat::Confirms(10));
    let through = Through {
        amqp: Some(proxy.port),
        ..Through::default()
    };
    let site = Site::open(lab).await?;
    let stage = Stage::on(site, echo(), through.clone()).await?;
    let mut fleet = Fleet::start(&stage.site, 2, through).await?;
    let count = lab.count(2_000);
    let runs = stage.client.runs(&stage.flow, count).await?;
    outcome.offered = runs.len();
    // Spread out, so that confirms are many.
    let approved = stage
        .client
        .approve_over(&runs, Duration::from_millis(30 * count as u64))
        .await;
    let accepted = runs_of(&approved);
    outcome.acknowledged = accepted.len();
    let recovery = settle(&stage.site.pool, &accepted, lab.patience(60)).await?;
    outcome.recovery_seconds = Some(recovery.as_secs_f64());
    let (seen, eaten) = proxy.eaten();
    proxy.eat(Eat::Nothing);
    outcome.figure(format!("{eaten} of {seen} confirms were eaten"));
    outcome.means(eaten > 3, "too few confirms were eaten to mean anything");
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
