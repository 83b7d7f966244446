//! `neena-bench`: what a step costs, beside the physical floor measured in the same run.
//!
//! A figure from a shared machine means little alone: the disk's commit latency moves by a factor of thirty
//! within an hour. So each scenario alternates with its own floor (as many bare commits through the same driver, as
//! many bare calls of a warm Python host) and prints the ratio.

mod cluster;
mod floor;
mod idle;
mod machine;
mod report;
mod runs;
mod scenario;
mod stack;

use anyhow::Context;
use clap::Parser;

/// Measures scenarios on one machine (SQLite, the in-process bus, one worker), or how a cluster scales.
#[derive(Debug, Parser)]
#[command(name = "neena-bench", version)]
struct Options {
    /// What to measure; without it everything: chain-pure, chain-python, chain-pure-python, fan, single.
    scenarios: Vec<String>,
    /// Measure 1, 2 and 4 worker processes over Postgres and RabbitMQ instead (the program `neena` beside this one).
    #[arg(long, requires_all = ["database_url", "amqp_url"])]
    cluster: bool,
    /// Measure instead what so many runs that wait for people cost a worker that has nothing to do (as above).
    #[arg(long, value_name = "RUNS", requires_all = ["database_url", "amqp_url"], conflicts_with = "cluster")]
    waiting: Option<usize>,
    /// A Postgres server where databases may be made.
    #[arg(long, env = "NEENA_TEST_DATABASE_URL")]
    database_url: Option<String>,
    /// A RabbitMQ server.
    #[arg(long, env = "NEENA_TEST_AMQP_URL")]
    amqp_url: Option<String>,
    /// Measured runs of each scenario; the median is shown.
    #[arg(long, default_value_t = 11)]
    runs: usize,
    /// Print JSON instead of a table.
    #[arg(long)]
    json: bool,
    /// The Python interpreter.
    #[arg(long, env = "NEENA_PYTHON", default_value = "python3")]
    python: std::path::PathBuf,
}

#[tokio::main]
async fn main() -> anyhow::Result<()> {
    let options = Options::parse();
    if options.cluster {
        return scale(&options).await;
    }
    if let Some(waiting) = options.waiting {
        return wait(&options, waiting).await;
    }
    let chosen = scenario::choose(&options.scenarios)?;
    let machine = machine::Machine::start(&options.python).await?;
    let mut figures = Vec::new();
    for scenario in chosen {
        eprintln!("measuring {} …", scenario.name);
        figures.push(scenario.measure(&machine, options.runs).await?);
    }
    machine.stop().await?;
    if options.json {
        println!("{}", serde_json::to_string_pretty(&figures)?);
    } else {
        println!("{}", report::table(&figures));
    }
    Ok(())
}

/// How 1,000 runs of one task, and one run of 400 tasks, spread over workers.
async fn scale(options: &Options) -> anyhow::Result<()> {
    let (servers, program) = (options.servers()?, program()?);
    let mut figures = cluster::narrow(&servers, &program, 1_000, &[1, 2, 4]).await?;
    figures.push(cluster::wide(&servers, &program, 400, 4).await?);
    if options.json {
        println!("{}", serde_json::to_string_pretty(&figures)?);
    } else {
        println!("{}", report::scaled(&figures));
    }
    Ok(())
}

/// What runs that wait for people cost a worker.
async fn wait(options: &Options, waiting: usize) -> anyhow::Result<()> {
    let figures = idle::measure(&options.servers()?, &program()?, waiting).await?;
    if options.json {
        println!("{}", serde_json::to_string_pretty(&figures)?);
    } else {
        println!("{}", report::idle(&figures));
    }
    Ok(())
}

impl Options {
    fn servers(&self) -> anyhow::Result<stack::Servers> {
        Ok(stack::Servers {
            database_url: self.database_url.clone().context("no database")?,
            amqp_url: self.amqp_url.clone().context("no broker")?,
        })
    }
}

/// The program `neena` beside this one.
fn program() -> anyhow::Result<std::path::PathBuf> {
    Ok(std::env::current_exe()?.with_file_name("neena"))
}

#[cfg(test)]
mod commits;
