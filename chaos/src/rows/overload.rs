//! More requests than the API can serve: it turns the rest away early, and serves as much as before.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use futures_util::future::join_all;
use reqwest::Method;
use serde_json::json;
use uuid::Uuid;

use crate::check::{Expect, check, settle};
use crate::client::{Call, Client, Flow};
use crate::keep::Fleet;
use crate::lab::Lab;
use crate::report::Outcome;
use crate::site::Through;
use crate::stage::Stage;

use super::shapes::echo;

/// What clients met.
#[derive(Debug, Default)]
struct Met {
    served: Vec<Uuid>,
    turned_away: usize,
    other: usize,
}

pub async fn run(lab: &Lab) -> anyhow::Result<Outcome> {
    let mut outcome = Outcome::default();
    let stage = Stage::set(lab, echo()).await?;
    let mut fleet = Fleet::start(&stage.site, 1, Through::default()).await?;
    let time = lab.time(60);
    let usual = time.div_f64(4.0).max(Duration::from_secs(5));
    // Warm, then the most it serves to as many clients as suit it.
    storm(&stage.client, &stage.flow, 16, Duration::from_secs(3)).await;
    let calm = storm(&stage.client, &stage.flow, 16, usual).await;
    let peak = calm.served.len() as f64 / usual.as_secs_f64();
    let before = stage.api.process.memory();
    let highest = AtomicUsize::new(0);
    let began = Instant::now();
    // Three times what it can serve: each client that is turned away comes again at once.
    let (rush, ()) = tokio::join!(storm(&stage.client, &stage.flow, 16 * 24, time), async {
        while began.elapsed() < time {
            tokio::time::sleep(Duration::from_millis(250)).await;
            highest.fetch_max(stage.api.process.memory() as usize, Ordering::Relaxed);
        }
    });
    let rate = rush.served.len() as f64 / time.as_secs_f64();
    let offered = (rush.served.len() + rush.turned_away + rush.other) as f64 / time.as_secs_f64();
    outcome.offered = calm.served.len() + rush.served.len();
    outcome.acknowledged = outcome.offered;
    let grown = highest.load(Ordering::Relaxed) as f64 / before.max(1) as f64;
    outcome.figure(format!(
        "peak {peak:.0}/s with 16 clients; with {} clients {offered:.0}/s offered, {rate:.0}/s served ({:.0} % of the peak), {} turned away, {} otherwise refused",
        16 * 24,
        100.0 * rate / peak,
        rush.turned_away,
        rush.other
    ));
    outcome.figure(format!(
        "memory {:.0} MiB before, {grown:.2} times as much at most",
        before as f64 / 1048576.0
    ));
    outcome.must(rate >= 0.9 * peak, "less than 90 % of the peak is served");
    outcome.must(grown < 1.5, "memory grows");
    outcome.must(
        rush.other == 0,
        "requests were refused with something else than 429 and 503",
    );
    let mut accepted = calm.served;
    accepted.extend(rush.served);
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

/// So many clients that each ask again as soon as they are answered.
async fn storm(client: &Client, flow: &Flow, clients: usize, time: Duration) -> Met {
    let until = Instant::now() + time;
    let one = || async {
        let mut met = Met::default();
        let body =
            json!({ "flow": flow.id, "flow_request": flow.request, "approval_status": "approved" });
        while Instant::now() < until {
            match client
                .call(Method::POST, "/flow_runs/", Some(&body), None)
                .await
            {
                Call::Done(run) => met
                    .served
                    .extend(run["id"].as_str().and_then(|id| id.parse::<Uuid>().ok())),
                Call::Refused(429 | 503, _) => {
                    met.turned_away += 1;
                    tokio::time::sleep(Duration::from_millis(50)).await;
                }
                _ => met.other += 1,
            }
        }
        met
    };
    let mut all = Met::default();
    for met in join_all((0..clients).map(|_| one())).await {
        all.served.extend(met.served);
        all.turned_away += met.turned_away;
        all.other += met.other;
    }
    all
}
