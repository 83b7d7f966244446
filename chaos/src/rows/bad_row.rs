//! The database refuses one row of a batch of a hundred: only that task fails. Then workers die inside batches.

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

use super::shapes::five;

const WIDE: usize = 100;

pub async fn run(lab: &Lab) -> anyhow::Result<Outcome> {
    let mut outcome = Outcome::default();
    let sink = Sink::start().await?;
    let wide = (0..WIDE).fold(Shape::default(), |shape, index| {
        let word = if index == WIDE / 2 { "poison" } else { "fine" };
        shape.then("core.echo", json!({ "word": word, "n": index }), &[])
    });
    let stage = Stage::set(
        lab,
        Shape {
            goes_on: true,
            ..wide
        },
    )
    .await?;
    let poison = "ALTER TABLE task_runs ADD CONSTRAINT chaos_poison CHECK (result IS NULL OR result NOT LIKE '%poison%')";
    sqlx::query(poison).execute(&stage.site.pool).await?;
    let runs = stage.client.runs(&stage.flow, lab.count(100)).await?;
    outcome.offered = runs.len();
    let mut fleet = Fleet::start(&stage.site, 2, Through::default()).await?;
    let accepted = runs_of(&stage.client.approve_all(&runs, PARALLEL).await);
    outcome.acknowledged = accepted.len();
    settle(&stage.site.pool, &accepted, Duration::from_secs(120)).await?;
    let odd = "SELECT count(*) FROM (SELECT r.id FROM flow_runs r JOIN task_runs t ON t.run_id = r.id WHERE r.id = ANY($1) \
         GROUP BY r.id HAVING count(*) FILTER (WHERE t.status = 'completed') = $2 \
         AND count(*) FILTER (WHERE t.status = 'failed' AND t.error LIKE '%result_not_storable%') = 1) AS good";
    let good: i64 = sqlx::query_scalar(odd)
        .bind(&accepted)
        .bind(WIDE as i64 - 1)
        .fetch_one(&stage.site.pool)
        .await?;
    outcome.figure(format!(
        "{good} of {} batches: {} tasks saved, one result_not_storable",
        accepted.len(),
        WIDE - 1
    ));
    outcome.must(
        good as usize == accepted.len(),
        "a refused row took others with it",
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
    let through = Through::failing("commit.before=3%return(abort);commit.after=3%return(abort)");
    let mut fleet = Fleet::start(&stage.site, 4, through).await?;
    let (stop, deaths) = (bell(), Mutex::new(Vec::new()));
    let (accepted, kept) = tokio::join!(
        async {
            let time = Duration::from_millis(60 * count as u64);
            let accepted = runs_of(&stage.client.approve_over(&runs, time).await);
            settle(&stage.site.pool, &accepted, Duration::from_secs(300)).await?;
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
    outcome.must(deaths * 4 >= wanted, "too few deaths inside batches");
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
