//! What an installation needs when it does nothing, how long it takes to start, and how large the program is.

use std::path::Path;
use std::time::{Duration, Instant};

use anyhow::{Context, ensure};

use crate::Measure;
use crate::figure::{Figure, median};
use crate::path::millis;
use crate::progress::Progress;
use crate::server::Site;
use crate::stack::{self, Stack};

/// How long after it is ready its memory is read.
const SETTLED: Duration = Duration::from_secs(1);

/// Starts it again and again on the same data.
pub async fn measure(options: &Measure, stack: &Stack) -> anyhow::Result<Vec<Figure>> {
    let count = options.samples().unwrap_or(7);
    let progress = Progress::new("footprint", count as u64);
    let program = options.program()?;
    let dir = stack::folder()?;
    let site = Site::new(&program, stack, dir.path()).await?;
    let (mut ready, mut memory, mut bare) = (Vec::new(), Vec::new(), Vec::new());
    // The first start registers the built-in tasks.
    site.start().await?.stop().await?;
    for _ in 0..count {
        bare.push(version(&program).await?);
        let server = site.start().await?;
        ready.push(millis(server.ready));
        tokio::time::sleep(SETTLED).await;
        memory.push(server.used()?.resident_mb);
        server.stop().await?;
        progress.one();
    }
    let what = match stack {
        Stack::Embedded(_) => "server and worker, no Python host",
        Stack::Cluster(_) => "an API and a worker process, no Python host",
    };
    let start = Figure::of(
        "start",
        format!("{}, to its ready line", stack.mode()),
        "ms",
        ready,
    )
    .floor(median(bare), "`neena --version`");
    let memory = Figure::of("idle", format!("{}, {what}", stack.mode()), "MB", memory);
    Ok(match stack {
        Stack::Embedded(_) => vec![
            start.goal(150.0, "150 ms"),
            memory.goal(40.0, "40 MB"),
            size(&program)?,
        ],
        Stack::Cluster(_) => vec![start.goal(150.0, "150 ms"), memory],
    })
}

/// How long the program takes to do nothing.
async fn version(program: &Path) -> anyhow::Result<f64> {
    let began = Instant::now();
    let output = tokio::process::Command::new(program)
        .arg("--version")
        .output()
        .await?;
    ensure!(output.status.success(), "the program does not run");
    Ok(millis(began.elapsed()))
}

/// The program as it is shipped, where that was built.
fn size(program: &Path) -> anyhow::Result<Figure> {
    let target = program
        .parent()
        .and_then(Path::parent)
        .context("where is the build?")?;
    let shipped = target.join("dist").join("neena");
    let (path, mode) = match shipped.is_file() {
        true => (shipped.as_path(), "the program as shipped (dist)"),
        false => (program, "the program, built as for measurements"),
    };
    let bytes = std::fs::metadata(path)?.len() as f64;
    let figure = Figure {
        durable: String::new(),
        ..Figure::of("binary", mode.to_owned(), "MB", vec![bytes / 1048576.0])
    };
    Ok(figure.goal(40.0, "40 MB"))
}
