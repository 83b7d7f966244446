//! The database crashes again and again under load: what was not committed is done again, nothing is half done.

use std::time::{Duration, Instant};

use crate::check::{Expect, check, settle};
use crate::keep::Fleet;
use crate::lab::Lab;
use crate::load::runs_of;
use crate::random::Random;
use crate::report::Outcome;
use crate::servers::{Server, Servers};
use crate::sink::Sink;
use crate::site::Through;
use crate::stage::Stage;

use super::shapes::five;

pub async fn run(lab: &Lab) -> anyhow::Result<Outcome> {
    let mut outcome = Outcome::default();
    let sink = Sink::start().await?;
    let stage = Stage::set(lab, five(&sink.url)).await?;
    let mut fleet = Fleet::start(&stage.site, 4, Through::default()).await?;
    let (count, time) = (lab.count(5_000), lab.time(600));
    let runs = stage.client.runs(&stage.flow, count).await?;
    outcome.offered = runs.len();
    let mut random = Random::new(lab.seed);
    let (approved, crashes) = tokio::join!(
        stage.client.approve_over(&runs, time),
        crash(&lab.servers, &mut random, time)
    );
    let (accepted, crashes) = (runs_of(&approved), crashes?);
    outcome.acknowledged = accepted.len();
    let again: u32 = approved.iter().map(|one| one.tries - 1).sum();
    outcome.figure(format!(
        "{crashes} crashes of the database in {} s; clients asked again {again} times",
        time.as_secs()
    ));
    outcome.means(crashes > 0, "the database never crashed");
    let recovery = settle(&stage.site.pool, &accepted, lab.patience(120)).await?;
    outcome.recovery_seconds = Some(recovery.as_secs_f64());
    let effects = sink.effects();
    let expect = Expect {
        effects: Some(&effects),
        condemned: 1,
        ..Expect::completed(&accepted, &stage.shape)
    };
    check(&stage.site, expect, &mut outcome).await?;
    for worker in &mut fleet.workers {
        outcome.must(worker.process.runs(), "a worker did not survive");
    }
    fleet.stop().await?;
    stage.site.close().await;
    Ok(outcome)
}

async fn crash(servers: &Servers, random: &mut Random, time: Duration) -> anyhow::Result<usize> {
    let began = Instant::now();
    let mut crashes = 0;
    loop {
        let most = Duration::from_secs(40).min(time / 2);
        let wait = random.between(Duration::from_secs(5).min(most), most);
        if began.elapsed() + wait >= time {
            return Ok(crashes);
        }
        tokio::time::sleep(wait).await;
        servers.kill(Server::Postgres).await?;
        servers.up(Server::Postgres).await?;
        crashes += 1;
    }
}
