//! The broker restarts again and again under load: everybody connects, declares and consumes anew.

use std::time::{Duration, Instant};

use crate::check::{Expect, check, settle};
use crate::keep::Fleet;
use crate::lab::Lab;
use crate::load::runs_of;
use crate::queue::consumed_by;
use crate::report::Outcome;
use crate::servers::Server;
use crate::sink::Sink;
use crate::site::{Site, Through};
use crate::stage::Stage;

use super::shapes::five;

const WORKERS: usize = 4;

pub async fn run(lab: &Lab) -> anyhow::Result<Outcome> {
    let mut outcome = Outcome::default();
    let sink = Sink::start().await?;
    let stage = Stage::set(lab, five(&sink.url)).await?;
    let mut fleet = Fleet::start(&stage.site, WORKERS, Through::default()).await?;
    let restarts = ((10.0 * lab.scale).ceil() as usize).clamp(2, 10);
    // As long as the restarts take on a machine like this one.
    let time = Duration::from_secs(10) * restarts as u32;
    let runs = stage.client.runs(&stage.flow, lab.count(1_000)).await?;
    outcome.offered = runs.len();
    let began = Instant::now();
    let (approved, back) = tokio::join!(
        stage.client.approve_over(&runs, time),
        restart(&stage.site, restarts)
    );
    let (accepted, back) = (runs_of(&approved), back?);
    outcome.acknowledged = accepted.len();
    let worst = back.iter().max().copied().unwrap_or_default();
    outcome.figure(format!(
        "{restarts} restarts in {:.0} s; all {WORKERS} workers consume again at most {:.1} s after the broker answers",
        began.elapsed().as_secs_f64(),
        worst.as_secs_f64()
    ));
    outcome.must(
        worst <= Duration::from_secs(5),
        "consuming again took more than 5 s",
    );
    let recovery = settle(&stage.site.pool, &accepted, lab.patience(120)).await?;
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

/// Kills and stops it in turn; how long each time until all consume again.
async fn restart(site: &Site<'_>, times: usize) -> anyhow::Result<Vec<Duration>> {
    let servers = &site.lab.servers;
    let mut back = Vec::new();
    for time in 0..times {
        match time % 2 {
            0 => servers.down(Server::Rabbit).await?,
            _ => servers.kill(Server::Rabbit).await?,
        }
        servers.up(Server::Rabbit).await?;
        back.push(consumed_by(site, WORKERS as u32, Duration::from_secs(60)).await?);
    }
    Ok(back)
}
