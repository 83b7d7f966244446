//! `neena-chaos`: breaks real processes, and checks afterwards what they promised.
//!
//! The program (built with failpoints) runs as one API and several workers against a Postgres and a RabbitMQ of
//! its own. Each row of the table of faults does its harm, waits, and then the checker reads the database and an
//! outside sink. A control plants a bug and must be caught.

mod check;
mod client;
mod cluster;
mod keep;
mod lab;
mod load;
mod process;
mod proxy;
mod queue;
mod random;
mod report;
mod rows;
mod servers;
mod sink;
mod site;
mod stage;
mod tap;

use std::path::PathBuf;
use std::process::ExitCode;
use std::time::{Instant, SystemTime, UNIX_EPOCH};

use anyhow::{Context, bail};
use clap::Parser;

use crate::lab::Lab;
use crate::report::{Outcome, Tried};
use crate::rows::{ROWS, Row};

/// Breaks real processes, and checks afterwards what they promised.
#[derive(Debug, Parser)]
#[command(name = "neena-chaos", version)]
struct Options {
    /// Rows to try; without it all.
    #[arg(value_name = "ROW")]
    rows: Vec<u32>,
    /// The program, built with `--features failpoints`.
    #[arg(long, env = "NEENA_CHAOS_BINARY", value_name = "FILE")]
    neena: PathBuf,
    /// The repository, for scripts/servers and the integration.
    #[arg(long, value_name = "DIR", default_value = ".")]
    repository: PathBuf,
    /// Part of the full number of runs.
    #[arg(long, default_value_t = 1.0)]
    scale: f64,
    /// Seconds instead of the full time of rows that last for one.
    #[arg(long)]
    seconds: Option<u64>,
    /// The most telling rows, scaled down.
    #[arg(long)]
    short: bool,
    /// Plant the bugs that must be caught, instead of trying the program as it is.
    #[arg(long)]
    controls: bool,
    /// Which random moments.
    #[arg(long)]
    seed: Option<u64>,
    /// Write the results as JSON, too.
    #[arg(long, value_name = "FILE")]
    json: Option<PathBuf>,
    /// Keep the folder with all logs.
    #[arg(long)]
    keep: bool,
}

fn main() -> ExitCode {
    match run(&Options::parse()) {
        Ok(code) => code,
        Err(error) => {
            eprintln!("neena-chaos: {error:#}");
            ExitCode::from(2)
        }
    }
}

fn run(options: &Options) -> anyhow::Result<ExitCode> {
    let dir = tempfile::Builder::new().prefix("neena-chaos.").tempdir()?;
    // The servers run as other users.
    let open = std::os::unix::fs::PermissionsExt::from_mode(0o711);
    std::fs::set_permissions(dir.path(), open)?;
    let runtime = tokio::runtime::Runtime::new()?;
    let code = runtime.block_on(async {
        tokio::select! {
            code = tried(options, dir.path()) => code,
            _ = tokio::signal::ctrl_c() => bail!("interrupted"),
            () = terminated() => bail!("terminated"),
        }
    });
    if options.keep || code.is_err() {
        eprintln!("the logs are in {}", dir.keep().display());
    }
    code
}

async fn terminated() {
    match tokio::signal::unix::signal(tokio::signal::unix::SignalKind::terminate()) {
        Ok(mut signal) => drop(signal.recv().await),
        Err(_) => std::future::pending().await,
    }
}

async fn tried(options: &Options, dir: &std::path::Path) -> anyhow::Result<ExitCode> {
    let chosen = chosen(options)?;
    let seed = options.seed.unwrap_or_else(|| {
        let since = SystemTime::now()
            .duration_since(UNIX_EPOCH)
            .unwrap_or_default();
        u64::from(since.subsec_nanos())
    });
    println!("seed {seed}");
    let neena = options
        .neena
        .canonicalize()
        .context("cannot find the program")?;
    let repository = options.repository.canonicalize()?;
    let mut lab = Lab::open(&repository, &neena, dir, seed).await?;
    lab.seconds = options.seconds;
    let mut all = Vec::new();
    for row in chosen {
        lab.scale = match (options.short, row.short) {
            (true, Some(scale)) => scale * options.scale,
            _ => options.scale,
        };
        let planted: Vec<Option<&'static str>> = match options.controls {
            true => row.controls.iter().map(|control| Some(*control)).collect(),
            false => vec![None],
        };
        for control in planted {
            lab.planted = control;
            let tried = try_row(row, &lab).await;
            println!("{}", tried.block());
            all.push(tried);
        }
    }
    println!("{}", report::table(&all));
    if let Some(file) = &options.json {
        std::fs::write(file, serde_json::to_vec_pretty(&all)?)?;
    }
    let good = all.iter().all(|tried| tried.holds);
    Ok(if good {
        ExitCode::SUCCESS
    } else {
        ExitCode::FAILURE
    })
}

fn chosen(options: &Options) -> anyhow::Result<Vec<&'static Row>> {
    if let Some(unknown) = options
        .rows
        .iter()
        .find(|number| !ROWS.iter().any(|row| row.number == **number))
    {
        bail!("there is no row {unknown}");
    }
    let wanted = |row: &&Row| {
        let named = options.rows.is_empty() || options.rows.contains(&row.number);
        named
            && (!options.short || row.short.is_some())
            && (!options.controls || !row.controls.is_empty())
    };
    Ok(ROWS.iter().filter(wanted).collect())
}

/// Tries a row; what goes wrong with the trial itself is a failure, too, and no catch.
async fn try_row(row: &'static Row, lab: &Lab) -> Tried {
    let began = Instant::now();
    let (outcome, sound) = match (row.run)(lab).await {
        Ok(outcome) => (outcome, true),
        Err(error) => {
            let outcome = Outcome {
                faults: vec![format!("the trial itself failed: {error:#}")],
                ..Outcome::default()
            };
            (outcome, false)
        }
    };
    let holds = match lab.planted {
        None => outcome.faults.is_empty() && outcome.weak.is_empty(),
        Some(_) => sound && !outcome.faults.is_empty(),
    };
    Tried {
        row: row.number,
        what: row.what,
        control: lab.planted,
        seconds: began.elapsed().as_secs_f64(),
        holds,
        outcome,
    }
}
