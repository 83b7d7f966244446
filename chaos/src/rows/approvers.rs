//! Many people approve the same runs at once: the first wins, the others are told so.

use std::collections::HashSet;

use futures_util::future::join_all;
use futures_util::{StreamExt, stream};
use reqwest::Method;
use uuid::Uuid;

use crate::check::{Expect, check, settle};
use crate::client::{Call, Client};
use crate::keep::Fleet;
use crate::lab::Lab;
use crate::report::Outcome;
use crate::site::Through;
use crate::stage::Stage;

use super::shapes::echo;

/// So many calls at once; the first two are the same person's.
const CALLS: usize = 16;

pub async fn run(lab: &Lab) -> anyhow::Result<Outcome> {
    let mut outcome = Outcome::default();
    let stage = Stage::set(lab, echo()).await?;
    let mut fleet = Fleet::start(&stage.site, 1, Through::default()).await?;
    let runs = stage.client.runs(&stage.flow, lab.count(1_000)).await?;
    outcome.offered = runs.len();
    let mut people = vec![stage.client.clone()];
    for person in 0..CALLS - 1 {
        let token = stage
            .site
            .token(&format!("approver{person}@chaos.example"))
            .await?;
        people.push(Client::new(&stage.client.url, &token)?);
    }
    // The first one calls twice.
    people[1] = people[0].clone();
    let raced = stream::iter(runs.clone()).map(|run| race(run, &people));
    let raced: Vec<(Uuid, Vec<usize>, Vec<String>)> = raced.buffer_unordered(4).collect().await;
    let accepted: Vec<Uuid> = raced
        .iter()
        .filter(|(_, winners, _)| !winners.is_empty())
        .map(|(run, ..)| *run)
        .collect();
    outcome.acknowledged = accepted.len();
    let several = raced
        .iter()
        .filter(|(_, winners, _)| winners.len() > 1)
        .count();
    outcome.must(
        several == 0,
        format!("{several} runs were approved by several people"),
    );
    let odd: Vec<&String> = raced.iter().flat_map(|(_, _, odd)| odd).collect();
    outcome.must(
        odd.is_empty(),
        format!("{} calls were answered oddly: {:?}", odd.len(), odd.first()),
    );
    let recovery = settle(&stage.site.pool, &accepted, lab.patience(60)).await?;
    outcome.recovery_seconds = Some(recovery.as_secs_f64());
    check(
        &stage.site,
        Expect::completed(&accepted, &stage.shape),
        &mut outcome,
    )
    .await?;
    let count = |sql| sqlx::query_scalar::<_, i64>(sql).fetch_one(&stage.site.pool);
    let approvals = count("SELECT count(*) FROM approvals").await?;
    let messages = count(
        "SELECT count(*) FROM chaos.messages WHERE what = 'stored' AND kind = 'flow_run.approved'",
    )
    .await?;
    outcome.figure(format!(
        "{} calls for {} runs: {approvals} approvals, {messages} messages",
        runs.len() * CALLS,
        runs.len()
    ));
    outcome.must(
        approvals as usize == runs.len(),
        "not one approval for each run",
    );
    outcome.must(
        messages as usize == runs.len(),
        "not one message for each run",
    );
    fleet.stop().await?;
    stage.site.close().await;
    Ok(outcome)
}

/// All approve one run at once: who was told that they did (the double caller once), and answers that fit nothing.
async fn race(run: Uuid, people: &[Client]) -> (Uuid, Vec<usize>, Vec<String>) {
    let path = format!("/flow_runs/approve?flow_run_id={run}");
    let calls = people
        .iter()
        .map(|person| person.call(Method::PUT, &path, None, None));
    let mut winners = HashSet::new();
    let mut odd = Vec::new();
    for (person, call) in join_all(calls).await.into_iter().enumerate() {
        match call {
            Call::Done(_) => drop(winners.insert(person.max(1))),
            Call::Refused(409, _) => {}
            other => odd.push(format!("{other:?}")),
        }
    }
    (run, winners.into_iter().collect(), odd)
}
