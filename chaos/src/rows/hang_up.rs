//! Clients hang up in the middle of requests: what was begun is finished, and no session is left in a transaction.

use std::sync::atomic::{AtomicI64, Ordering};
use std::time::{Duration, Instant};

use anyhow::Context;
use futures_util::{StreamExt, stream};
use serde_json::json;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use uuid::Uuid;

use crate::check::{Expect, check, idle_in_transaction, settle};
use crate::client::{Client, Flow};
use crate::keep::{Fleet, bell};
use crate::lab::Lab;
use crate::random::Random;
use crate::report::{Outcome, spread};
use crate::site::{Site, Through};
use crate::stage::Stage;

use super::shapes::echo;

/// Clients at once.
const TOGETHER: usize = 32;

pub async fn run(lab: &Lab) -> anyhow::Result<Outcome> {
    let mut outcome = Outcome::default();
    let stage = Stage::set(lab, echo()).await?;
    let mut fleet = Fleet::start(&stage.site, 2, Through::default()).await?;
    let count = lab.count(10_000);
    // About half of the clients are patient enough, on whatever machine this is.
    let patient = Duration::from_secs(10);
    let asked = stream::iter(0..400).map(|_| async {
        let began = Instant::now();
        let answer = ask(&stage.client, &stage.flow, patient).await;
        answer.map(|_| began.elapsed())
    });
    let usual: Vec<Option<Duration>> = asked.buffer_unordered(TOGETHER).collect().await;
    let (middle, ..) = spread(usual.into_iter().flatten().collect());
    let most = Duration::from_secs_f64((2.0 * middle).max(0.05));
    let mut random = Random::new(lab.seed);
    let cuts: Vec<Duration> = (0..count)
        .map(|_| random.between(Duration::ZERO, most))
        .collect();
    let (stop, worst) = (bell(), AtomicI64::new(0));
    let (answers, watched) = tokio::join!(
        async {
            let (client, flow) = (&stage.client, &stage.flow);
            let asked = stream::iter(cuts).map(|cut| async move {
                // What a client left behind still keeps the API busy: without a pace the next ones would find
                // it ever further behind, and none of them an answer.
                let pace = tokio::time::sleep(most);
                let (answer, ()) = tokio::join!(ask(client, flow, cut), pace);
                answer
            });
            let answers: Vec<Option<(u16, Option<Uuid>)>> =
                asked.buffer_unordered(TOGETHER).collect().await;
            stop.notify_one();
            answers
        },
        watch(&stage.site, &stop, &worst)
    );
    watched?;
    let told = answers.iter().flatten();
    let accepted: Vec<Uuid> = told.clone().filter_map(|(_, run)| *run).collect();
    let refused = told.filter(|(status, _)| *status >= 400).count();
    outcome.offered = accepted.len() + refused;
    outcome.acknowledged = accepted.len();
    outcome.figure(format!(
        "{count} requests cut off after 0 to {:.0} ms: {} answered, {refused} refused, {} cut off before their answer",
        most.as_secs_f64() * 1e3,
        accepted.len(),
        answers.iter().filter(|answer| answer.is_none()).count()
    ));
    outcome.means(
        accepted.len() * 20 >= count,
        "too few requests were answered to mean anything",
    );
    let worst = worst.load(Ordering::Relaxed);
    outcome.must(
        worst == 0,
        format!("up to {worst} sessions were idle in a transaction for more than a second"),
    );
    let after = stage.client.runs(&stage.flow, 50).await;
    outcome.must(
        after.is_ok_and(|runs| runs.len() == 50),
        "the API does not serve afterwards",
    );
    let all: Vec<Uuid> =
        sqlx::query_scalar("SELECT id FROM flow_runs WHERE approval_status = 'approved'")
            .fetch_all(&stage.site.pool)
            .await?;
    let recovery = settle(&stage.site.pool, &all, lab.patience(120)).await?;
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

/// Asks for an approved run and hangs up after `cut`; the answer, if it came before.
async fn ask(client: &Client, flow: &Flow, cut: Duration) -> Option<(u16, Option<Uuid>)> {
    let body =
        json!({ "flow": flow.id, "flow_request": flow.request, "approval_status": "approved" })
            .to_string();
    let address = client.url.trim_start_matches("http://");
    let request = format!(
        "POST /api/v1/flow_runs/ HTTP/1.1\r\nHost: {address}\r\nAuthorization: Bearer {}\r\n\
         Content-Type: application/json\r\nContent-Length: {}\r\nConnection: close\r\n\r\n{body}",
        client.token,
        body.len()
    );
    let talk = async {
        let mut stream = TcpStream::connect(address).await?;
        stream.write_all(request.as_bytes()).await?;
        let mut answer = Vec::new();
        stream.read_to_end(&mut answer).await?;
        read(&answer)
    };
    tokio::time::timeout(cut, talk).await.ok()?.ok()
}

fn read(answer: &[u8]) -> anyhow::Result<(u16, Option<Uuid>)> {
    let text = String::from_utf8_lossy(answer);
    let status: u16 = text.get(9..12).context("no status")?.parse()?;
    let (_, body) = text.split_once("\r\n\r\n").context("no body")?;
    let value: serde_json::Value = serde_json::from_str(body)?;
    let run = value["id"].as_str().filter(|_| status < 300);
    Ok((status, run.map(str::parse).transpose()?))
}

/// The most sessions idle in a transaction at any moment, until `stop`.
async fn watch(
    site: &Site<'_>,
    stop: &tokio::sync::Notify,
    worst: &AtomicI64,
) -> anyhow::Result<()> {
    loop {
        tokio::select! {
            () = stop.notified() => break,
            () = tokio::time::sleep(Duration::from_millis(200)) => {
                worst.fetch_max(idle_in_transaction(site).await?, Ordering::Relaxed);
            }
        }
    }
    // Whatever was left open when the last client hung up has had its second.
    tokio::time::sleep(Duration::from_millis(1_500)).await;
    worst.fetch_max(idle_in_transaction(site).await?, Ordering::Relaxed);
    Ok(())
}
