//! What a client process is told to do, and what it answers with. The client is a process of its own, as clients are:
//! this program again, with the order on its standard input.

use std::process::Stdio;

use anyhow::{Context, ensure};
use serde::{Deserialize, Serialize};
use tokio::io::AsyncWriteExt;
use tokio::process::Command;
use uuid::Uuid;

use crate::server::{Server, Single};

/// An order for a client.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Order {
    pub url: String,
    pub token: String,
    pub flow: Uuid,
    pub request: Uuid,
    pub way: Way,
    pub pace: Pace,
}

/// By which calls a run is made and approved.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Way {
    /// One call to make it, one to approve it.
    Two,
    /// Made and approved in one call.
    One,
    /// So many made and approved in one call.
    Bulk(usize),
    /// One call to make so many, one to approve them.
    BulkTwo(usize),
}

impl Way {
    pub fn is_bulk(self) -> bool {
        matches!(self, Way::Bulk(_) | Way::BulkTwo(_))
    }
}

/// When runs are asked for.
#[derive(Clone, Copy, Debug, Serialize, Deserialize)]
pub enum Pace {
    /// So many calls at once, each followed by the next, for so many seconds.
    Closed { in_flight: usize, seconds: f64 },
    /// So many runs a second, whatever becomes of those before.
    Open { rate: f64, runs: usize },
}

/// What came of it.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Answer {
    pub runs: usize,
    /// How often the server was too busy, and was asked again.
    pub refused: usize,
    /// From the first call until the last run had ended.
    pub seconds: f64,
    /// Of an open loop: from when a run was to be approved to the start of its task, in milliseconds.
    pub latencies: Vec<f64>,
}

impl Answer {
    /// Runs that ended, a second.
    pub fn rate(&self) -> f64 {
        self.runs as f64 / self.seconds
    }
}

/// Has a client process carry out an order.
pub async fn carry_out(
    server: &Server,
    single: Single,
    way: Way,
    pace: Pace,
) -> anyhow::Result<Answer> {
    let order = Order {
        url: server.url.clone(),
        token: server.token.clone(),
        flow: single.flow,
        request: single.request,
        way,
        pace,
    };
    let mut client = Command::new(std::env::current_exe()?)
        .arg("client")
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .kill_on_drop(true)
        .spawn()?;
    let mut input = client.stdin.take().context("no way to tell the client")?;
    input.write_all(&serde_json::to_vec(&order)?).await?;
    drop(input);
    let output = client.wait_with_output().await?;
    ensure!(output.status.success(), "the client failed");
    Ok(serde_json::from_slice(&output.stdout)?)
}
