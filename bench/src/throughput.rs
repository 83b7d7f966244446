//! How many runs of one task a second, made and approved over HTTP by a client process.

use std::time::Duration;

use crate::Measure;
use crate::figure::{Figure, median};
use crate::fill::ROWS_OF_A_RUN;
use crate::floor::Floor;
use crate::load::{Pace, Way, carry_out};
use crate::progress::Progress;
use crate::server::{Server, Single, Site};
use crate::stack::{self, Stack};

/// Calls in flight that are tried: the best number is taken.
const IN_FLIGHT: [usize; 3] = [8, 32, 128];
/// The same of calls in bulk, each of which holds a transaction for long.
const IN_FLIGHT_BULK: [usize; 3] = [1, 2, 8];
/// How long a sample lasts, and a try.
const SECONDS: f64 = 4.0;
const TRY: f64 = 1.5;
/// Runs of a call in bulk.
const BULK: usize = 500;

/// Plain calls, one call a run, and in bulk.
pub async fn measure(options: &Measure, stack: &Stack) -> anyhow::Result<Vec<Figure>> {
    let count = options.samples().unwrap_or(3);
    let ways = [
        (Way::Two, "a call to make it, a call to approve it"),
        (Way::One, "made and approved in one call"),
        (
            Way::BulkTwo(BULK),
            "in bulk, a call to make 500, a call to approve them",
        ),
        (
            Way::Bulk(BULK),
            "in bulk, 500 made and approved in one call",
        ),
    ];
    let mut figures = Vec::new();
    for (way, name) in ways {
        let progress = Progress::new(&format!("throughput ({name})"), 3 + count as u64);
        // A place of its own: what is stored already must not differ.
        let dir = stack::folder()?;
        let site = Site::new(&options.program()?, stack, dir.path()).await?;
        let server = site.start().await?;
        let floor = Floor::beside(&site.place).await?;
        let single = server.single().await?;
        if way.is_bulk() && !has_bulk(&server).await? {
            server.stop().await?;
            continue;
        }
        let (in_flight, tried) = best(&server, single, way, &progress).await?;
        let (mut rates, mut rows, mut refused) = (Vec::new(), Vec::new(), 0);
        for _ in 0..count {
            rows.push(floor.rows_a_second(20_000).await?);
            let pace = Pace::Closed {
                in_flight,
                seconds: SECONDS,
            };
            let answer = carry_out(&server, single, way, pace).await?;
            refused += answer.refused;
            rates.push(answer.rate());
            progress.one();
        }
        server.stop().await?;
        floor.close().await;
        figures.push(
            Figure::of(
                "throughput",
                format!("{}, {name}", stack.mode()),
                "runs/s",
                rates,
            )
            .higher_is_better()
            .floor(
                median(rows) / ROWS_OF_A_RUN as f64,
                format!("{ROWS_OF_A_RUN} rows a run, 512 a commit"),
            )
            .note(format!("{in_flight} calls in flight ({tried}), {refused} asked again since the server was busy")),
        );
    }
    Ok(figures)
}

/// The number of calls in flight that gives most, and what the others gave.
async fn best(
    server: &Server,
    single: Single,
    way: Way,
    progress: &Progress,
) -> anyhow::Result<(usize, String)> {
    let mut found = (0.0, 0);
    let mut tried = Vec::new();
    let numbers = match way.is_bulk() {
        true => IN_FLIGHT_BULK,
        false => IN_FLIGHT,
    };
    for in_flight in numbers {
        let pace = Pace::Closed {
            in_flight,
            seconds: TRY,
        };
        let rate = carry_out(server, single, way, pace).await?.rate();
        tried.push(format!("{in_flight}: {rate:.0}"));
        if rate > found.0 {
            found = (rate, in_flight);
        }
        progress.one();
    }
    Ok((found.1, tried.join(", ")))
}

/// Whether this server takes runs in bulk.
async fn has_bulk(server: &Server) -> anyhow::Result<bool> {
    let mut api = server.connect().await?;
    let (status, _) = api
        .call(
            hyper::Method::POST,
            "/flow_runs/bulk",
            Some("[]".to_owned()),
        )
        .await?;
    Ok(!matches!(status.as_u16(), 404 | 405))
}

/// A quick look at what a server takes, for those who load it to a part of that.
pub async fn quick(server: &Server, single: Single, lasts: Duration) -> anyhow::Result<f64> {
    let pace = Pace::Closed {
        in_flight: 32,
        seconds: lasts.as_secs_f64(),
    };
    Ok(carry_out(server, single, Way::Two, pace).await?.rate())
}
