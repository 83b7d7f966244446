//! `neena-bench`: every figure we claim, beside the physical floor measured in the same run.
//!
//! A figure from a shared machine means little alone: the disk's commit latency moves by a factor of thirty
//! within an hour. So each scenario alternates with its own floor (as many bare commits through the same driver, as
//! many bare calls of a warm Python host) and says the ratio.

mod client;
mod confirms;
mod draw;
mod ends;
mod figure;
mod fill;
mod floor;
mod footprint;
mod growth;
mod http;
mod latency;
mod load;
mod machine;
mod path;
mod progress;
mod report;
mod runs;
mod scenarios;
mod server;
mod shapes;
mod soak;
mod stack;
mod svg;
mod table;
mod throughput;
mod used;
mod waiting;
mod work;
mod workers;

use std::path::{Path, PathBuf};
use std::process::ExitCode;

use anyhow::Context;
use clap::{Parser, ValueEnum};
use neena_store::Durability;

use figure::Figure;
use stack::{Servers, Stack};

// What the program allocates with, too.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

/// Measures scenarios, each beside its floor.
#[derive(Debug, Parser)]
#[command(name = "neena-bench", version, args_conflicts_with_subcommands = true)]
struct Options {
    #[command(subcommand)]
    other: Option<Other>,
    #[command(flatten)]
    measure: Measure,
}

#[derive(Debug, clap::Subcommand)]
enum Other {
    /// Puts files of figures together, ours and those of others: a table with floors and goals.
    Report {
        #[arg(required = true)]
        files: Vec<PathBuf>,
        /// Writes all of them here, as JSON.
        #[arg(long, value_name = "FILE")]
        json: Option<PathBuf>,
    },
    /// Writes the tables of docs/performance.md and the charts it shows, from files of figures.
    Draw {
        #[arg(required = true)]
        files: Vec<PathBuf>,
    },
    /// Carries out an order on standard input, as the client of a measurement.
    #[command(hide = true)]
    Client,
}

/// What to measure.
#[derive(Clone, Debug, clap::Args)]
struct Measure {
    /// Scenarios; without one all that belong to the stack, except the soak.
    #[arg(value_parser = scenarios::names())]
    scenarios: Vec<String>,
    /// SQLite in one process, or Postgres and RabbitMQ.
    #[arg(long, value_enum, default_value = "embedded")]
    stack: Which,
    /// Samples of each figure, instead of its own number.
    #[arg(long, value_parser = clap::value_parser!(u32).range(1..))]
    samples: Option<u32>,
    /// Finished runs stored for `growth`.
    #[arg(long, default_value_t = 1_000_000)]
    stored: usize,
    /// How long the soak lasts.
    #[arg(long, default_value_t = 10, value_parser = clap::value_parser!(u32).range(1..))]
    minutes: u32,
    /// Writes the figures here, as JSON.
    #[arg(long, value_name = "FILE")]
    json: Option<PathBuf>,
    /// A Postgres server where databases may be made.
    #[arg(long, env = "NEENA_TEST_DATABASE_URL", hide_env_values = true)]
    database_url: Option<String>,
    /// A RabbitMQ server.
    #[arg(long, env = "NEENA_TEST_AMQP_URL", hide_env_values = true)]
    amqp_url: Option<String>,
    /// The Python interpreter.
    #[arg(long, env = "NEENA_PYTHON", default_value = "python3")]
    python: PathBuf,
    /// The program `neena`; without it the one beside this one.
    #[arg(long, value_name = "PROGRAM")]
    program: Option<PathBuf>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum Which {
    Embedded,
    Cluster,
}

fn main() -> ExitCode {
    match run(Options::parse()) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("neena-bench: {error:#}");
            ExitCode::FAILURE
        }
    }
}

fn run(options: Options) -> anyhow::Result<()> {
    match options.other {
        Some(Other::Client) => client::run(),
        Some(Other::Draw { files }) => draw::draw(&files, Path::new(".")),
        Some(Other::Report { files, json }) => {
            let entries = report::merged(&files)?;
            println!("{}", report::text(&entries));
            json.map_or(Ok(()), |path| write(&path, &entries))
        }
        None => tokio::runtime::Runtime::new()?.block_on(measure(options.measure)),
    }
}

async fn measure(options: Measure) -> anyhow::Result<()> {
    let (figures, failed) = scenarios::measure(&options).await?;
    let shown: Vec<&Figure> = figures.iter().collect();
    println!("{}", table::table(&shown));
    for (scenario, error) in &failed {
        eprintln!("{scenario} could not be measured: {error:#}");
    }
    anyhow::ensure!(failed.is_empty(), "{} could not be measured", failed.len());
    Ok(())
}

fn write<T: serde::Serialize>(path: &Path, entries: &[T]) -> anyhow::Result<()> {
    if let Some(folder) = path.parent() {
        std::fs::create_dir_all(folder)?;
    }
    std::fs::write(path, serde_json::to_string_pretty(entries)?)
        .with_context(|| format!("cannot write {}", path.display()))
}

impl Measure {
    fn stack(&self) -> anyhow::Result<Stack> {
        Ok(match self.stack {
            Which::Embedded => Stack::Embedded(Durability::Full),
            Which::Cluster => Stack::Cluster(self.servers()?),
        })
    }

    fn servers(&self) -> anyhow::Result<Servers> {
        Ok(Servers {
            database_url: self
                .database_url
                .clone()
                .context("a cluster needs --database-url; see scripts/servers")?,
            amqp_url: self
                .amqp_url
                .clone()
                .context("a cluster needs --amqp-url; see scripts/servers")?,
        })
    }

    fn program(&self) -> anyhow::Result<PathBuf> {
        match &self.program {
            Some(program) => Ok(program.clone()),
            None => Ok(std::env::current_exe()?.with_file_name("neena")),
        }
    }

    fn samples(&self) -> Option<usize> {
        self.samples.map(|count| count as usize)
    }
}

#[cfg(test)]
mod commits;
