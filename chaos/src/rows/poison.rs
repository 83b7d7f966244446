//! A run that kills its worker each time: it is condemned at its fourth claim, and its neighbours are not.

use std::time::Duration;

use parking_lot::Mutex;
use serde_json::json;
use sqlx::Row;

use crate::check::{Expect, check, settle};
use crate::client::Shape;
use crate::keep::{Fleet, bell};
use crate::lab::Lab;
use crate::load::runs_of;
use crate::report::Outcome;
use crate::sink::Sink;
use crate::site::Through;
use crate::stage::Stage;

use super::shapes::five;

pub async fn run(lab: &Lab) -> anyhow::Result<Outcome> {
    let mut outcome = Outcome::default();
    let sink = Sink::start().await?;
    let stage = Stage::set(lab, five(&sink.url)).await?;
    let poison = Shape::default().then("kill_worker", json!({ "sink": sink.url }), &[]);
    let poison = stage.client.flow(&poison).await?;
    let poison = stage.client.run(&poison, false).await?;
    let runs = stage.client.runs(&stage.flow, lab.count(500)).await?;
    outcome.offered = runs.len() + 1;
    let mut fleet = Fleet::start(&stage.site, 3, Through::default()).await?;
    let (stop, deaths) = (bell(), Mutex::new(Vec::new()));
    let (accepted, kept) = tokio::join!(
        async {
            let (healthy, half) = runs.split_at(runs.len() / 2);
            let mut accepted = runs_of(
                &stage
                    .client
                    .approve_over(healthy, Duration::from_secs(3))
                    .await,
            );
            let bad = stage.client.approve_all(&[poison], 1).await;
            accepted.extend(runs_of(
                &stage
                    .client
                    .approve_over(half, Duration::from_secs(20))
                    .await,
            ));
            settle(&stage.site.pool, &runs_of(&bad), lab.patience(90)).await?;
            settle(&stage.site.pool, &accepted, lab.patience(90)).await?;
            stop.notify_one();
            anyhow::Ok((accepted, bad.len()))
        },
        fleet.keep(&stage.site, &stop, &deaths)
    );
    kept?;
    let (accepted, bad) = accepted?;
    outcome.acknowledged = accepted.len() + bad;
    let row = sqlx::query("SELECT status, reason, epoch FROM flow_runs WHERE id = $1")
        .bind(poison)
        .fetch_one(&stage.site.pool)
        .await?;
    let (status, reason, epoch): (String, Option<String>, i64) =
        (row.try_get(0)?, row.try_get(1)?, row.try_get(2)?);
    let deaths = deaths.lock().len();
    let reason = reason.unwrap_or_default();
    outcome.figure(format!(
        "the poison run is {status} ({reason}) at claim {epoch} after {deaths} deaths of workers"
    ));
    outcome.must(
        status == "failed" && reason == "worker_crash",
        "the poison run was not condemned",
    );
    outcome.must(deaths == 3, "the workers did not die three times");
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
