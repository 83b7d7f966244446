//! The API dies before the commit, after it, or before the answer: clients ask again, and it is done once.

use parking_lot::Mutex;

use crate::check::{Expect, check, settle};
use crate::keep::{Fleet, bell};
use crate::lab::Lab;
use crate::load::runs_of;
use crate::report::Outcome;
use crate::site::Through;
use crate::stage::Stage;

use super::shapes::echo;

const POINTS: [&str; 5] = [
    "decide.before_commit",
    "decide.after_commit",
    "relay.before_publish",
    "relay.after_publish",
    "api.before_answer",
];

pub async fn run(lab: &Lab) -> anyhow::Result<Outcome> {
    let mut outcome = Outcome::default();
    let mut stage = Stage::set(lab, echo()).await?;
    let mut fleet = Fleet::start(&stage.site, 1, Through::default()).await?;
    let runs = stage.client.runs(&stage.flow, lab.count(1_000)).await?;
    outcome.offered = runs.len();
    let mut accepted = Vec::new();
    for (point, part) in POINTS
        .iter()
        .zip(runs.chunks(runs.len().div_ceil(POINTS.len())))
    {
        stage
            .api_goes(Through::failing(&format!("{point}=40%return(abort)")))
            .await?;
        let Stage {
            site, api, client, ..
        } = &mut stage;
        let (stop, lives) = (bell(), Mutex::new(Vec::new()));
        let (approved, kept) = tokio::join!(
            async {
                let approved = client.approve_all(part, 4).await;
                stop.notify_one();
                approved
            },
            api.keep(site, &stop, &lives)
        );
        kept?;
        let again: u32 = approved.iter().map(|one| one.tries - 1).sum();
        let deaths = lives.into_inner().len();
        outcome.figure(format!(
            "{point}: the API died {deaths} times, clients asked again {again} times"
        ));
        outcome.means(deaths > 0, format!("the API never died at {point}"));
        accepted.extend(runs_of(&approved));
    }
    outcome.acknowledged = accepted.len();
    stage.api_goes(Through::default()).await?;
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
        "{} runs, {approvals} approvals, {messages} messages stored",
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
