//! Half of what it can take, for long: whether memory, descriptors or latency drift.

use std::time::{Duration, Instant};

use crate::Measure;
use crate::figure::{Figure, median, percentile};
use crate::load::{Pace, Way, carry_out};
use crate::progress::Progress;
use crate::server::Site;
use crate::stack::{self, Stack};
use crate::throughput::quick;

/// How long a block of the load lasts, in seconds.
const BLOCK: f64 = 10.0;

/// Blocks at half load; what is said of each is how its end compares with its beginning.
pub async fn measure(options: &Measure, stack: &Stack) -> anyhow::Result<Vec<Figure>> {
    let dir = stack::folder()?;
    let site = Site::new(&options.program()?, stack, dir.path()).await?;
    let server = site.start().await?;
    let single = server.single().await?;
    let rate = (quick(&server, single, Duration::from_secs(5)).await? / 2.0)
        .floor()
        .max(1.0);
    let lasts = Duration::from_secs(60 * u64::from(options.minutes));
    let progress = Progress::new(&format!("soak ({rate} runs/s)"), lasts.as_secs());
    let (mut memory, mut descriptors, mut p50s, mut p99s) =
        (Vec::new(), Vec::new(), Vec::new(), Vec::new());
    let began = Instant::now();
    let mut runs = 0;
    while began.elapsed() < lasts {
        let before = Instant::now();
        let pace = Pace::Open {
            rate,
            runs: (rate * BLOCK).ceil() as usize,
        };
        let answer = carry_out(&server, single, Way::One, pace).await?;
        runs += answer.runs;
        let used = server.used()?;
        memory.push(used.resident_mb);
        descriptors.push(used.descriptors as f64);
        p50s.push(percentile(&answer.latencies, 50.0));
        p99s.push(percentile(&answer.latencies, 99.0));
        progress.by(before.elapsed().as_secs());
    }
    drop(progress);
    server.stop().await?;
    let mode = |what: &str| {
        format!(
            "{}, {rate} runs/s for {} min, {what}",
            stack.mode(),
            options.minutes
        )
    };
    let drift = |what: &str, unit: &str, values: Vec<f64>, goal: Option<f64>| {
        let (first, last) = ends(&values);
        let figure = Figure::of("soak", mode(what), unit, values).note(format!(
            "first fifth {first:.2}, last fifth {last:.2}, {runs} runs"
        ));
        match goal {
            Some(times) => Figure {
                median: last,
                ..figure
            }
            .goal(
                times * first,
                format!("the last fifth within {times} × the first"),
            ),
            None => figure,
        }
    };
    Ok(vec![
        drift("memory", "MB", memory, Some(1.2)),
        drift("descriptors", "descriptors", descriptors, Some(1.1)),
        drift(
            "p50 of make and approve to first start",
            "ms",
            p50s,
            Some(1.5),
        ),
        drift("p99 of make and approve to first start", "ms", p99s, None),
    ])
}

/// Medians of the first and of the last fifth.
fn ends(values: &[f64]) -> (f64, f64) {
    let fifth = (values.len() / 5).max(1).min(values.len());
    (
        median(values[..fifth].to_vec()),
        median(values[values.len() - fifth..].to_vec()),
    )
}
