//! The node that leads the queue is killed, again and again, in a cluster of three: what was confirmed stays.

use std::time::{Duration, Instant};

use crate::check::{Expect, check, settle};
use crate::cluster::Cluster;
use crate::keep::Fleet;
use crate::lab::Lab;
use crate::load::runs_of;
use crate::proxy::Proxy;
use crate::queue::Queue;
use crate::report::Outcome;
use crate::site::{Site, Through};
use crate::stage::Stage;

use super::shapes::echo;

const EVERY: Duration = Duration::from_secs(30);

pub async fn run(lab: &Lab) -> anyhow::Result<Outcome> {
    let mut outcome = Outcome::default();
    let mut cluster = Cluster::start(&lab.dir.join(format!("cluster-{}", lab.next_site()))).await?;
    let ports: Vec<u16> = cluster.nodes.iter().map(|node| node.port).collect();
    let proxy = Proxy::before(&ports, lab.seed).await?;
    let mut site = Site::open(lab).await?;
    site.broker_at(proxy.port);
    let stage = Stage::on(site, echo(), Through::default()).await?;
    let kills = ((10.0 * lab.scale).ceil() as u32).clamp(2, 10);
    let runs = stage.client.runs(&stage.flow, lab.count(5_000)).await?;
    outcome.offered = runs.len();
    let name = format!("{}.runs", stage.site.prefix);
    let (approved, killed) = tokio::join!(stage.client.approve_over(&runs, EVERY * kills), async {
        let mut leaders = Vec::new();
        for _ in 0..kills {
            let began = Instant::now();
            let leader = cluster.leader(&name).await?;
            cluster.kill(leader).await?;
            leaders.push(leader);
            tokio::time::sleep(Duration::from_secs(8)).await;
            cluster.revive(leader)?;
            cluster.whole(Duration::from_secs(120)).await?;
            tokio::time::sleep(EVERY.saturating_sub(began.elapsed())).await;
        }
        anyhow::Ok(leaders)
    });
    let (accepted, leaders) = (runs_of(&approved), killed?);
    outcome.acknowledged = accepted.len();
    let queue = Queue::open(&stage.site).await?;
    // No worker has looked yet: every message that was confirmed lies in the queue.
    let queued = queue.holds(accepted.len(), Duration::from_secs(60)).await?;
    let confirmed: i64 = sqlx::query_scalar(
        "SELECT count(*) FROM chaos.messages WHERE what = 'done' AND kind = 'flow_run.approved'",
    )
    .fetch_one(&stage.site.pool)
    .await?;
    outcome.figure(format!(
        "leaders killed: {leaders:?}; {confirmed} messages confirmed, {queued} in the queue"
    ));
    outcome.must(queued as i64 >= confirmed, "confirmed messages were lost");
    let mut fleet = Fleet::start(&stage.site, 2, Through::default()).await?;
    let recovery = settle(&stage.site.pool, &accepted, lab.patience(120)).await?;
    outcome.recovery_seconds = Some(recovery.as_secs_f64());
    check(
        &stage.site,
        Expect::completed(&accepted, &stage.shape),
        &mut outcome,
    )
    .await?;
    fleet.stop().await?;
    stage.site.close().await;
    Ok(outcome)
}
