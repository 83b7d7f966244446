//! `neena dead`

use anyhow::ensure;
use clap::{Args, Subcommand};
use neena_bus::{DeadLetter, DeadLetters, Which};
use serde_json::{Value, json};

use super::{Done, print, print_json};
use crate::config::Secret;
use crate::table;

/// `neena dead list`, `neena dead replay`, `neena dead drop`
#[derive(Debug, Args)]
pub struct Dead {
    #[command(subcommand)]
    pub command: DeadCommand,
}

/// What is to be done with messages that nobody could read or deliver.
#[derive(Debug, Subcommand)]
pub enum DeadCommand {
    /// Show them, the oldest first.
    List(DeadList),
    /// Put them back into the queues they died in.
    Replay(DeadSome),
    /// Delete them for good.
    Drop(DeadSome),
}

/// `neena dead list`
#[derive(Debug, Args)]
pub struct DeadList {
    /// How many to show.
    #[arg(long, value_name = "N", default_value_t = 100, value_parser = clap::value_parser!(u32).range(1..=100_000))]
    pub limit: u32,
    #[command(flatten)]
    pub broker: DeadBroker,
}

/// `neena dead replay` and `neena dead drop`
#[derive(Debug, Args)]
pub struct DeadSome {
    /// The message, as `neena dead list` names it.
    #[arg(value_name = "ID", required_unless_present = "all")]
    pub id: Option<String>,
    /// All of them.
    #[arg(long, conflicts_with = "id")]
    pub all: bool,
    #[command(flatten)]
    pub broker: DeadBroker,
}

/// Where they are.
#[derive(Debug, Args)]
pub struct DeadBroker {
    /// RabbitMQ of the installation, as amqp://USER:PASSWORD@HOST/VHOST.
    #[arg(
        long,
        env = "NEENA_AMQP_URL",
        value_name = "URL",
        hide_env_values = true
    )]
    pub amqp_url: Secret,
    /// First word of every exchange and queue.
    #[arg(
        long,
        env = "NEENA_AMQP_PREFIX",
        value_name = "WORD",
        default_value = "neena"
    )]
    pub amqp_prefix: String,
}

/// Shows, replays or deletes dead letters.
pub async fn run(options: Dead, json: bool) -> anyhow::Result<Done> {
    match options.command {
        DeadCommand::List(options) => list(options, json).await,
        DeadCommand::Replay(options) => replay(options, json).await,
        DeadCommand::Drop(options) => delete(options, json).await,
    }
}

async fn list(options: DeadList, json: bool) -> anyhow::Result<Done> {
    let letters = connect(&options.broker).await?;
    let letters = letters.list(options.limit as usize).await?;
    if json {
        print_json(&letters.iter().map(told).collect())?;
        return Ok(Done::Well);
    }
    let mut table = table::table(&["id", "died in", "reason", "at", "bytes", "begins"]);
    for letter in &letters {
        let begins = String::from_utf8_lossy(&letter.body[..letter.body.len().min(200)]);
        let died_at = letter.died_at.map(|at| at.to_string());
        table.add_row([
            table::short(&letter.id, 80),
            table::short(letter.queue.as_deref().unwrap_or("–"), 120),
            table::short(letter.reason.as_deref().unwrap_or("–"), 40),
            table::local(died_at.as_deref()),
            letter.body.len().to_string(),
            table::short(&begins, 60),
        ]);
    }
    print(&table.trim_fmt())?;
    Ok(Done::Well)
}

fn told(letter: &DeadLetter) -> Value {
    json!({
        "id": letter.id,
        "queue": letter.queue,
        "reason": letter.reason,
        "died_at": letter.died_at.map(|at| at.to_string()),
        "type": letter.kind,
        "size": letter.body.len(),
        "body": String::from_utf8_lossy(&letter.body),
    })
}

async fn replay(options: DeadSome, json: bool) -> anyhow::Result<Done> {
    let which = which(&options);
    let replayed = connect(&options.broker).await?.replay(&which).await?;
    let (back, stay) = (replayed.back.len(), replayed.stay.len());
    found(&which, back + stay)?;
    if json {
        print_json(&json!({ "replayed": replayed.back, "stay": replayed.stay }))?;
    } else {
        print(&format!("{back} back in their queues"))?;
    }
    ensure!(
        stay == 0,
        "{stay} stay dead: the queues they came from are gone"
    );
    Ok(Done::Well)
}

async fn delete(options: DeadSome, json: bool) -> anyhow::Result<Done> {
    let which = which(&options);
    let deleted = connect(&options.broker).await?.delete(&which).await?;
    found(&which, deleted.len())?;
    if json {
        print_json(&json!({ "deleted": deleted }))?;
    } else {
        print(&format!("{} deleted", deleted.len()))?;
    }
    Ok(Done::Well)
}

async fn connect(broker: &DeadBroker) -> anyhow::Result<DeadLetters> {
    Ok(DeadLetters::connect(broker.amqp_url.expose(), &broker.amqp_prefix).await?)
}

fn which(options: &DeadSome) -> Which {
    match &options.id {
        Some(id) => Which::Id(id.clone()),
        None => Which::All,
    }
}

/// One that was named must be there.
fn found(which: &Which, count: usize) -> anyhow::Result<()> {
    if let Which::Id(id) = which {
        ensure!(count > 0, "there is no dead letter {id}");
    }
    Ok(())
}
