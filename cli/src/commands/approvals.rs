//! `neena approvals`

use serde::Deserialize;

use super::{Done, print, print_json};
use crate::client::{Client, read};
use crate::config::List;
use crate::table;

/// What waits for the caller.
#[derive(Debug, Deserialize)]
struct Waiting {
    flow_run: String,
    flow_name: Option<String>,
    gate: Option<String>,
    stage: String,
    approvals: u32,
    needed: u32,
    triggered_by: String,
    request_instructions: Option<String>,
    asked_time: Option<String>,
    due_time: Option<String>,
    stands_in_for: Option<String>,
}

/// Lists what waits for the caller's approval.
pub async fn run(options: List, json: bool) -> anyhow::Result<Done> {
    let client = Client::new(&options.server)?;
    let (skip, limit) = (options.skip.to_string(), options.limit.to_string());
    let query = [("skip", skip.as_str()), ("limit", limit.as_str())];
    let answer = client.get("approvals/all", &query).await?;
    if json {
        print_json(&answer)?;
        return Ok(Done::Well);
    }
    let waiting: Vec<Waiting> = read(&answer)?;
    if waiting.is_empty() {
        eprintln!("nothing waits for you");
        return Ok(Done::Well);
    }
    let mut table = table::table(&[
        "run", "flow", "gate", "stage", "asked at", "until", "asked by", "for", "request",
    ]);
    for one in &waiting {
        let stage = format!(
            "{} ({} of {})",
            table::short(&one.stage, 24),
            one.approvals,
            one.needed
        );
        table.add_row([
            one.flow_run.clone(),
            table::short(one.flow_name.as_deref().unwrap_or("–"), 40),
            table::short(one.gate.as_deref().unwrap_or("–"), 24),
            stage,
            table::local(one.asked_time.as_deref()),
            table::local(one.due_time.as_deref()),
            table::short(&one.triggered_by, 40),
            table::short(one.stands_in_for.as_deref().unwrap_or("–"), 40),
            table::short(one.request_instructions.as_deref().unwrap_or("–"), 50),
        ]);
    }
    print(&table.trim_fmt())?;
    Ok(Done::Well)
}
