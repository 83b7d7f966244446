//! Each wake-up is delivered one to five times: the claim lets one of them have the run.

use std::time::Duration;

use futures_util::StreamExt;
use lapin::options::{BasicAckOptions, BasicConsumeOptions, QueueBindOptions, QueueDeclareOptions};
use lapin::types::FieldTable;

use crate::check::{Expect, check, settle};
use crate::keep::Fleet;
use crate::lab::Lab;
use crate::load::{PARALLEL, runs_of};
use crate::queue::{Queue, like};
use crate::random::Random;
use crate::report::Outcome;
use crate::sink::Sink;
use crate::site::{Site, Through};
use crate::stage::Stage;
use crate::tap::broker;

use super::shapes::effect;

pub async fn run(lab: &Lab) -> anyhow::Result<Outcome> {
    let mut outcome = Outcome::default();
    let sink = Sink::start().await?;
    let stage = Stage::set(lab, effect(&sink.url, 0.05)).await?;
    let mut fleet = Fleet::start(&stage.site, 4, Through::default()).await?;
    let runs = stage.client.runs(&stage.flow, lab.count(1_000)).await?;
    outcome.offered = runs.len();
    let copier = copies(&stage.site, Random::new(lab.seed), runs.len());
    let (approved, copied) = tokio::join!(stage.client.approve_all(&runs, PARALLEL), copier);
    let copied = copied?;
    let accepted = runs_of(&approved);
    outcome.acknowledged = accepted.len();
    let recovery = settle(&stage.site.pool, &accepted, lab.patience(120)).await?;
    outcome.recovery_seconds = Some(recovery.as_secs_f64());
    let effects = sink.effects();
    let expect = Expect {
        effects: Some(&effects),
        ..Expect::completed(&accepted, &stage.shape)
    };
    check(&stage.site, expect, &mut outcome).await?;
    let claims: i64 = sqlx::query_scalar("SELECT count(*) FROM chaos.claims")
        .fetch_one(&stage.site.pool)
        .await?;
    let told: usize = effects.values().map(Vec::len).sum();
    outcome.figure(format!(
        "{copied} further copies of {} wake-ups: {claims} claims, {told} effects",
        runs.len()
    ));
    outcome.means(copied > runs.len(), "too few copies were delivered");
    outcome.must(
        claims as usize == accepted.len(),
        "not one claim for each run",
    );
    outcome.must(told == accepted.len(), "not one effect for each run");
    fleet.stop().await?;
    stage.site.close().await;
    Ok(outcome)
}

/// Puts up to four copies of each of so many approvals into the queue; how many in all.
async fn copies(site: &Site<'_>, mut random: Random, count: usize) -> anyhow::Result<usize> {
    let connection = broker(site).await?;
    let channel = connection.create_channel().await?;
    let name = format!("{}.copier", site.prefix);
    channel
        .queue_declare(
            name.as_str().into(),
            QueueDeclareOptions::default(),
            FieldTable::default(),
        )
        .await?;
    let exchange = format!("{}.events", site.prefix);
    channel
        .queue_bind(
            name.as_str().into(),
            exchange.as_str().into(),
            "flow_run.approved".into(),
            QueueBindOptions::default(),
            FieldTable::default(),
        )
        .await?;
    let mut heard = channel
        .basic_consume(
            name.as_str().into(),
            "copier".into(),
            BasicConsumeOptions::default(),
            FieldTable::default(),
        )
        .await?;
    let queue = Queue::open(site).await?;
    let mut copied = 0;
    for _ in 0..count {
        let next = tokio::time::timeout(Duration::from_secs(30), heard.next()).await;
        let Ok(Some(Ok(delivery))) = next else { break };
        let properties = like(&delivery)?;
        for _ in 0..random.below(5) {
            queue.put(&delivery.data, &properties).await?;
            copied += 1;
        }
        delivery.ack(BasicAckOptions::default()).await?;
    }
    Ok(copied)
}
