//! The queue's binding is taken away again and again while runs are approved: no message counts as sent that
//! found no queue.

use std::time::Duration;

use crate::check::{Expect, check, settle};
use crate::keep::{Fleet, bell};
use crate::lab::Lab;
use crate::load::runs_of;
use crate::queue::Queue;
use crate::report::Outcome;
use crate::site::Through;
use crate::stage::Stage;

use super::shapes::echo;

pub async fn run(lab: &Lab) -> anyhow::Result<Outcome> {
    let mut outcome = Outcome::default();
    let stage = Stage::set(lab, echo()).await?;
    let runs = stage.client.runs(&stage.flow, lab.count(500)).await?;
    outcome.offered = runs.len();
    let queue = Queue::open(&stage.site).await?;
    let stop = bell();
    let (approved, unbound) = tokio::join!(
        async {
            let approved = stage
                .client
                .approve_over(&runs, Duration::from_secs(10))
                .await;
            stop.notify_one();
            approved
        },
        async {
            let mut times = 0;
            loop {
                queue.unbind().await?;
                times += 1;
                tokio::select! {
                    () = stop.notified() => return anyhow::Ok(times),
                    () = tokio::time::sleep(Duration::from_millis(100)) => {}
                }
            }
        }
    );
    let (accepted, times) = (runs_of(&approved), unbound?);
    outcome.acknowledged = accepted.len();
    // No worker has looked yet: every message that was sent lies in the queue.
    let queued = queue.holds(accepted.len(), Duration::from_secs(60)).await?;
    let done: i64 = sqlx::query_scalar(
        "SELECT count(*) FROM chaos.messages WHERE what = 'done' AND kind = 'flow_run.approved'",
    )
    .fetch_one(&stage.site.pool)
    .await?;
    outcome.figure(format!(
        "unbound {times} times; {done} messages counted as sent, {queued} in the queue"
    ));
    outcome.must(
        queued as i64 >= done,
        format!(
            "{} messages count as sent that no queue has",
            done - queued as i64
        ),
    );
    outcome.must(
        queued >= accepted.len(),
        "not every approval reached the queue",
    );
    let mut fleet = Fleet::start(&stage.site, 2, Through::default()).await?;
    let recovery = settle(&stage.site.pool, &accepted, lab.patience(60)).await?;
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
