//! From approval to the start of the first task, at so many runs a second.

use std::time::Duration;

use crate::Measure;
use crate::figure::{Figure, median, percentile};
use crate::floor::Floor;
use crate::load::{Pace, Way, carry_out};
use crate::path::millis;
use crate::progress::Progress;
use crate::server::Site;
use crate::stack::{self, Stack};
use crate::throughput::quick;

/// Runs a second, and runs of a block.
const RATES: [(f64, usize); 3] = [(1.0, 5), (100.0, 200), (1_000.0, 2_000)];
/// Commits and confirms of a block.
const BARE: u64 = 10;

/// Each rate in blocks, in turns with bare commits and bare writes to the broker.
pub async fn measure(options: &Measure, stack: &Stack) -> anyhow::Result<Vec<Figure>> {
    let count = options.samples().unwrap_or(4);
    let dir = stack::folder()?;
    let site = Site::new(&options.program()?, stack, dir.path()).await?;
    let server = site.start().await?;
    let floor = Floor::beside(&site.place).await?;
    let single = server.single().await?;
    let most = quick(&server, single, Duration::from_secs(3)).await?;
    let mut figures = Vec::new();
    for (rate, runs) in RATES {
        let progress = Progress::new(&format!("latency ({rate} runs/s)"), count as u64);
        let mut all = Vec::new();
        let (mut p50s, mut p99s, mut bare) = (Vec::new(), Vec::new(), Vec::new());
        for _ in 0..count {
            let commits = millis(floor.commits(BARE).await?) / BARE as f64;
            let confirms = millis(floor.confirms(BARE).await?) / BARE as f64;
            bare.push(commits + confirms);
            let pace = Pace::Open { rate, runs };
            let answer = carry_out(&server, single, Way::Two, pace).await?;
            p50s.push(percentile(&answer.latencies, 50.0));
            p99s.push(percentile(&answer.latencies, 99.0));
            all.extend(answer.latencies);
            progress.one();
        }
        let bare = median(bare);
        let of = if floor.has_broker() { "c + b" } else { "c" };
        // The extremes are those of the blocks, the value is that of all runs.
        let figure = |name: &str, percent, blocks| Figure {
            median: percentile(&all, percent),
            samples: all.len(),
            ..Figure::of(
                "latency",
                format!("{}, {rate} runs/s, {name}", stack.mode()),
                "ms",
                blocks,
            )
        };
        let p50 = figure("p50", 50.0, p50s).floor(bare, of);
        let p99 = figure("p99", 99.0, p99s).floor(bare, of);
        let (p50, p99) = if rate <= most / 2.0 {
            let goal = 3.0 * p50.median;
            (
                p50.goal(1.3 * bare + 2.0, format!("1.3 × ({of}) + 2 ms")),
                p99.goal(goal, "3 × p50"),
            )
        } else {
            let why = format!("more than half of the {most:.0} runs/s that it takes: no goal");
            (p50.note(why.clone()), p99.note(why))
        };
        figures.extend([p50, p99]);
    }
    server.stop().await?;
    floor.close().await;
    Ok(figures)
}
