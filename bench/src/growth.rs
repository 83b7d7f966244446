//! What stored runs cost: the same work beside nothing, ten thousand and a million finished runs, and pages of them.

use std::time::{Duration, Instant};

use anyhow::ensure;

use crate::Measure;
use crate::figure::{Figure, median};
use crate::fill::fill;
use crate::http::Connection;
use crate::load::{Pace, Way, carry_out};
use crate::path::millis;
use crate::progress::Progress;
use crate::server::{Server, Single, Site};
use crate::stack::{self, Stack};

/// Finished runs beside which is measured.
const FEW: usize = 10_000;
/// How long a sample lasts, and how many calls are in flight.
const PACE: Pace = Pace::Closed {
    in_flight: 32,
    seconds: 2.0,
};
/// Calls of each page.
const CALLS: usize = 20;
/// How long a run may take to leave nothing but what is kept.
const SETTLED: Duration = Duration::from_secs(20);

/// An installation that holds so many finished runs.
struct Holding {
    runs: usize,
    server: Server,
    single: Single,
    rates: Vec<f64>,
    _dir: tempfile::TempDir,
}

/// Throughput in turns on installations that hold nothing, few and many; then pages of the largest.
pub async fn measure(options: &Measure, stack: &Stack) -> anyhow::Result<Vec<Figure>> {
    let count = options.samples().unwrap_or(3);
    let mut all = Vec::new();
    for runs in [0, FEW, options.stored] {
        all.push(holding(options, stack, runs).await?);
    }
    let progress = Progress::new("growth", (all.len() * count) as u64);
    for one in &all {
        carry_out(&one.server, one.single, Way::Two, PACE).await?;
    }
    for _ in 0..count {
        for one in &mut all {
            let answer = carry_out(&one.server, one.single, Way::Two, PACE).await?;
            one.rates.push(answer.rate());
            progress.one();
        }
    }
    drop(progress);
    let bare = median(all[0].rates.clone());
    let mut figures = Vec::new();
    for one in &all {
        let mode = format!("{}, {} finished runs stored", stack.mode(), one.runs);
        let rate =
            Figure::of("growth", mode.clone(), "runs/s", one.rates.clone()).higher_is_better();
        figures.push(match one.runs {
            0 => rate,
            _ => rate
                .floor(bare, "the same beside nothing, in turns")
                .goal(0.9 * bare, "0.9 × the same beside nothing"),
        });
        if one.runs > 0 {
            figures.extend(pages(&one.server, &mode).await?);
        }
    }
    for one in all {
        one.server.stop().await?;
    }
    Ok(figures)
}

/// Puts one up, and fills it with copies of its first run.
async fn holding(options: &Measure, stack: &Stack, runs: usize) -> anyhow::Result<Holding> {
    let dir = stack::folder()?;
    let site = Site::new(&options.program()?, stack, dir.path()).await?;
    let mut server = site.start().await?;
    let single = server.single().await?;
    if runs > 0 {
        let pace = Pace::Open { rate: 1.0, runs: 1 };
        carry_out(&server, single, Way::Two, pace).await?;
        sealed(&mut server.connect().await?).await?;
        server.stop().await?;
        fill(&site.place, runs).await?;
        server = site.start().await?;
    }
    Ok(Holding {
        runs,
        server,
        single,
        rates: Vec::new(),
        _dir: dir,
    })
}

/// Waits until the decisions of the only run have their place in the log.
async fn sealed(api: &mut Connection) -> anyhow::Result<()> {
    let deadline = Instant::now() + SETTLED;
    loop {
        let log: serde_json::Value = api.get("/decisions/all?limit=10").await?;
        let entries = log.as_array().cloned().unwrap_or_default();
        if !entries.is_empty() && entries.iter().all(|one| one["seq"].is_number()) {
            return Ok(());
        }
        ensure!(Instant::now() < deadline, "the log is not sealed: {log}");
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
}

/// Pages of a hundred, beside a call that reads one row.
async fn pages(server: &Server, mode: &str) -> anyhow::Result<Vec<Figure>> {
    let mut api = server.connect().await?;
    let mut figures = Vec::new();
    for (name, path, goal) in [
        ("runs", "/flow_runs/all", 10.0),
        ("previews", "/flow_runs/preview/all", 5.0),
    ] {
        for skip in [0, FEW] {
            let page = format!("{path}?skip={skip}&limit=100");
            let (mut took, mut small) = (Vec::new(), Vec::new());
            let rows: Vec<serde_json::Value> = api.get(&page).await?;
            ensure!(rows.len() == 100, "a page has {} runs", rows.len());
            for _ in 0..CALLS {
                took.push(time(&mut api, &page).await?);
                small.push(time(&mut api, "/users/").await?);
            }
            let mode = format!("{mode}: 100 {name}, skipping {skip}");
            figures.push(
                Figure::of("page", mode, "ms", took)
                    .floor(median(small), "a call that reads one row")
                    .goal(goal, format!("{goal} ms")),
            );
        }
    }
    Ok(figures)
}

async fn time(api: &mut Connection, path: &str) -> anyhow::Result<f64> {
    let began = Instant::now();
    api.done(hyper::Method::GET, path, None).await?;
    Ok(millis(began.elapsed()))
}
