//! The database refuses one run's record among a hundred that are written together: only that run fails. Then
//! workers die inside batches.

use std::time::Duration;

use parking_lot::Mutex;
use serde_json::json;

use crate::check::{Expect, check, settle};
use crate::client::Shape;
use crate::keep::{Fleet, bell};
use crate::lab::Lab;
use crate::load::{PARALLEL, runs_of};
use crate::report::Outcome;
use crate::sink::Sink;
use crate::site::Through;
use crate::stage::Stage;

use super::shapes::{echo, five};

/// Runs whose records are to be written together.
const TOGETHER: usize = 100;

pub async fn run(lab: &Lab) -> anyhow::Result<Outcome> {
    let mut outcome = Outcome::default();
    let sink = Sink::start().await?;
    let mut stage = Stage::set(lab, echo()).await?;
    let poison = "ALTER TABLE task_runs ADD CONSTRAINT chaos_poison CHECK (result IS NULL OR result NOT LIKE '%poison%')";
    sqlx::query(poison).execute(&stage.site.pool).await?;
    let poison = Shape::default().then("core.echo", json!({ "word": "poison" }), &[]);
    let poison = stage.client.flow(&poison).await?;
    let batches = lab.count(100);
    let bad = stage.client.runs(&poison, batches).await?;
    let good = stage
        .client
        .runs(&stage.flow, batches * (TOGETHER - 1))
        .await?;
    let mixed: Vec<_> = bad
        .iter()
        .zip(good.chunks(TOGETHER - 1))
        .flat_map(|(bad, good)| good.iter().chain([bad]).copied())
        .collect();
    outcome.offered = mixed.len();
    // Approved while nobody works, so that the worker takes and records many at once.
    let accepted = runs_of(&stage.client.approve_all(&mixed, PARALLEL).await);
    outcome.acknowledged = accepted.len();
    stage.site.set("NEENA_WORKER_CONCURRENCY", 1_000);
    stage.site.set("NEENA_WORKER_RUNS", 1_000);
    let mut fleet = Fleet::start(&stage.site, 1, Through::default()).await?;
    settle(&stage.site.pool, &accepted, lab.patience(120)).await?;
    let as_wanted = "SELECT count(*) FROM flow_runs WHERE id = ANY($1) AND status = $2 AND reason IS NOT DISTINCT FROM $3";
    let count = |runs, status, reason| {
        let query = sqlx::query_scalar::<_, i64>(as_wanted)
            .bind(runs)
            .bind(status);
        query.bind(reason).fetch_one(&stage.site.pool)
    };
    let saved = count(&good, "completed", None::<&str>).await?;
    let refused = count(&bad, "failed", Some("result_not_storable")).await?;
    outcome.figure(format!(
        "{saved} of {} good runs saved; {refused} of {} bad ones failed as result_not_storable",
        good.len(),
        bad.len()
    ));
    outcome.must(
        saved as usize == good.len(),
        "a refused record took others with it",
    );
    outcome.must(
        refused as usize == bad.len(),
        "not every bad record was told",
    );
    let expect = Expect {
        any_status: true,
        ..Expect::completed(&accepted, &stage.shape)
    };
    check(&stage.site, expect, &mut outcome).await?;
    fleet.stop().await?;
    stage.site.close().await;
    if lab.planted.is_none() {
        die_inside(lab, &mut outcome, sink).await?;
    }
    Ok(outcome)
}

/// Workers that die just before or just after a batch is committed.
async fn die_inside(lab: &Lab, outcome: &mut Outcome, sink: Sink) -> anyhow::Result<()> {
    let stage = Stage::set(lab, five(&sink.url)).await?;
    let wanted = lab.count(200);
    let count = lab.count(1_000);
    let runs = stage.client.runs(&stage.flow, count).await?;
    outcome.offered += runs.len();
    let through = Through::failing("commit.before=2%return(abort);commit.after=2%return(abort)");
    let mut fleet = Fleet::start(&stage.site, 4, through).await?;
    let (stop, deaths) = (bell(), Mutex::new(Vec::new()));
    let (accepted, kept) = tokio::join!(
        async {
            let time = Duration::from_millis(200 * count as u64);
            let accepted = runs_of(&stage.client.approve_over(&runs, time).await);
            settle(&stage.site.pool, &accepted, lab.patience(300)).await?;
            stop.notify_one();
            anyhow::Ok(accepted)
        },
        fleet.keep(&stage.site, &stop, &deaths)
    );
    kept?;
    let accepted = accepted?;
    outcome.acknowledged += accepted.len();
    let deaths = deaths.lock().len();
    outcome.figure(format!(
        "workers died {deaths} times inside a batch ({wanted} wanted)"
    ));
    outcome.means(deaths * 4 >= wanted, "too few deaths inside batches");
    let effects = sink.effects();
    let expect = Expect {
        effects: Some(&effects),
        condemned: 2,
        ..Expect::completed(&accepted, &stage.shape)
    };
    check(&stage.site, expect, outcome).await?;
    fleet.stop().await?;
    stage.site.close().await;
    Ok(())
}
