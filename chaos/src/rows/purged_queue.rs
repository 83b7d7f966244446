//! The queue is purged, then the broker's disk is lost: idle workers find the runs in the table.

use std::time::Duration;

use crate::check::{Expect, check, settle};
use crate::keep::Fleet;
use crate::lab::Lab;
use crate::load::{PARALLEL, runs_of};
use crate::queue::Queue;
use crate::report::Outcome;
use crate::servers::Server;
use crate::site::Through;
use crate::stage::Stage;

use super::shapes::echo;

const LIMIT: Duration = Duration::from_secs(30);

pub async fn run(lab: &Lab) -> anyhow::Result<Outcome> {
    let mut outcome = Outcome::default();
    let stage = Stage::set(lab, echo()).await?;
    let count = lab.count(1_000);
    let mut all = Vec::new();
    let mut slowest = Duration::ZERO;
    for lost in ["purged", "gone with the broker's disk"] {
        let runs = stage.client.runs(&stage.flow, count).await?;
        outcome.offered += runs.len();
        let queue = Queue::open(&stage.site).await?;
        let accepted = runs_of(&stage.client.approve_all(&runs, PARALLEL).await);
        outcome.acknowledged += accepted.len();
        let queued = queue.holds(accepted.len(), Duration::from_secs(20)).await?;
        outcome.means(
            queued >= accepted.len(),
            format!("only {queued} of {} wake-ups were queued", accepted.len()),
        );
        if lost == "purged" {
            queue.purge().await?;
        } else {
            drop(queue);
            lab.servers.kill(Server::Rabbit).await?;
            lab.servers.wipe_rabbit()?;
            lab.servers.up(Server::Rabbit).await?;
        }
        let mut fleet = Fleet::start(&stage.site, 4, Through::default()).await?;
        let took = settle(&stage.site.pool, &accepted, LIMIT).await?;
        outcome.figure(format!(
            "{queued} wake-ups {lost}: all final after {:.1} s",
            took.as_secs_f64()
        ));
        outcome.must(took < LIMIT, format!("not all final after 30 s ({lost})"));
        slowest = slowest.max(took);
        all.extend(accepted);
        fleet.stop().await?;
    }
    outcome.recovery_seconds = Some(slowest.as_secs_f64());
    check(
        &stage.site,
        Expect::completed(&all, &stage.shape),
        &mut outcome,
    )
    .await?;
    stage.site.close().await;
    Ok(outcome)
}
