//! The API dies after the commit of an approval and before the message is published: the outbox has it.

use std::collections::HashMap;
use std::time::Duration;

use parking_lot::Mutex;
use sqlx::Row;
use uuid::Uuid;

use crate::check::{Expect, check, settle};
use crate::keep::{Fleet, bell};
use crate::lab::Lab;
use crate::load::{PARALLEL, runs_of};
use crate::report::{Outcome, spread};
use crate::site::{Site, Through};
use crate::stage::Stage;
use crate::tap::Tap;

use super::shapes::echo;

/// How long the process that wrote a message has to publish it before others try.
const HEAD_START: i64 = 5_000_000;

pub async fn run(lab: &Lab) -> anyhow::Result<Outcome> {
    let mut outcome = Outcome::default();
    let mut stage = Stage::set(lab, echo()).await?;
    let mut fleet = Fleet::start(&stage.site, 2, Through::default()).await?;
    let tap = Tap::open(&stage.site).await?;
    let runs = stage.client.runs(&stage.flow, lab.count(1_000)).await?;
    outcome.offered = runs.len();
    stage
        .api_goes(Through::failing("decide.after_commit=20%return(abort)"))
        .await?;
    let Stage {
        site,
        mut api,
        client,
        shape,
        ..
    } = stage;
    let stop = bell();
    let lives = Mutex::new(Vec::new());
    let (approved, kept) = tokio::join!(
        async {
            let approved = client.approve_all(&runs, PARALLEL).await;
            stop.notify_one();
            approved
        },
        api.keep(&site, &stop, &lives)
    );
    kept?;
    let accepted = runs_of(&approved);
    outcome.acknowledged = accepted.len();
    let lives = lives.into_inner();
    let recovery = settle(&site.pool, &accepted, lab.patience(60)).await?;
    outcome.recovery_seconds = Some(recovery.as_secs_f64());
    check(&site, Expect::completed(&accepted, &shape), &mut outcome).await?;
    let deaths = lives.len();
    outcome.means(
        deaths * 20 >= runs.len(),
        format!("the API died only {deaths} times"),
    );
    let heard = tap.heard();
    let kind = |run: &Uuid, kind: &str| heard.get(&(*run, kind.to_owned()));
    let silent = |what: &str| {
        accepted
            .iter()
            .filter(|run| kind(run, what).is_none())
            .count()
    };
    let (approvals, ends) = (silent("flow_run.approved"), silent("flow_run.completed"));
    outcome.must(
        approvals == 0,
        format!("{approvals} approvals were never published"),
    );
    outcome.must(ends == 0, format!("{ends} ends were never published"));
    let stored = stored(&site, "flow_run.approved").await?;
    let mut lags = Vec::new();
    for run in &accepted {
        let (Some(stored), Some(heard)) = (stored.get(run), kind(run, "flow_run.approved")) else {
            continue;
        };
        let first = heard.iter().map(|(_, at)| *at).min().unwrap_or_default();
        let back = lives
            .iter()
            .find(|began| **began > *stored)
            .copied()
            .unwrap_or(*stored);
        let due = if first - stored < HEAD_START {
            first
        } else {
            back.max(stored + HEAD_START)
        };
        lags.push(Duration::from_micros((first - due).max(0) as u64));
    }
    let left = lags.iter().filter(|lag| !lag.is_zero()).count();
    let (_, p99, most) = spread(lags);
    outcome.figure(format!(
        "the API died {deaths} times; {left} messages were left to keepers, published at most {most:.2} s after they were due"
    ));
    outcome.must(
        p99 <= 1.5,
        format!("messages are published {p99:.2} s after they were due"),
    );
    fleet.stop().await?;
    site.close().await;
    Ok(outcome)
}

/// When the message of this kind was stored, by run.
async fn stored(site: &Site<'_>, kind: &str) -> anyhow::Result<HashMap<Uuid, i64>> {
    let sql = "SELECT run_id, min(at) FROM chaos.messages WHERE kind = $1 AND what = 'stored' GROUP BY run_id";
    let rows = sqlx::query(sql).bind(kind).fetch_all(&site.pool).await?;
    rows.iter()
        .map(|row| Ok((row.try_get(0)?, row.try_get(1)?)))
        .collect()
}
