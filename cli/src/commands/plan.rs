//! `neena plan`

use std::sync::Arc;

use anyhow::{Context, bail, ensure};
use neena_engine::Hash;
use neena_engine::plan::{Graph, Plan, canonical};
use serde::Deserialize;
use serde_json::{Value, json};

use super::{Done, print, print_json, text_of};
use crate::client::Client;
use crate::config::{FileToCheck, PlanExport};
use crate::table;

/// A plan as it is stored: what is hashed, and the hash of the head.
#[derive(Debug, Deserialize)]
struct Exported {
    plan_hash: Hash,
    /// Canonical text; it names the hash of the graph.
    head: String,
    /// Canonical text.
    graph: String,
}

/// Prints the plan of a run as it is stored.
pub async fn export(options: PlanExport) -> anyhow::Result<Done> {
    let client = Client::new(&options.server)?;
    let run = options.run.to_string();
    let query = [("flow_run_id", run.as_str())];
    let plan = client.get("flow_runs/plan/canonical", &query).await?;
    print_json(&plan)?;
    Ok(Done::Well)
}

/// Computes both hashes of an exported plan anew.
pub fn verify(options: &FileToCheck, json: bool) -> anyhow::Result<Done> {
    let file = options.file.display();
    let exported: Exported = serde_json::from_str(&text_of(&options.file)?)
        .with_context(|| format!("{file} is no exported plan (see neena plan export)"))?;
    let plan = match read(&exported) {
        Ok(plan) => plan,
        Err(error) => bail!("{file}: {error}"),
    };
    for (what, text) in [("head", &exported.head), ("graph", &exported.graph)] {
        let value: Value = serde_json::from_str(text)?;
        ensure!(
            canonical(&value).is_ok_and(|canonical| canonical == *text),
            "{file}: the {what} is not in canonical form"
        );
    }
    if json {
        print_json(&json!({
            "plan_hash": plan.hash,
            "graph": plan.head.graph,
            "flow": plan.head.flow,
            "flow_name": plan.head.flow_name,
            "flow_version": plan.head.flow_version,
            "operations": plan.graph.len(),
        }))?;
    } else {
        let head = &plan.head;
        print(&format!(
            "{}  {} (version {}), {} tasks, asked for by {}",
            plan.hash,
            table::short(&head.flow_name, 80),
            head.flow_version,
            plan.graph.len(),
            table::short(&head.triggered_by, 80)
        ))?;
    }
    Ok(Done::Well)
}

fn read(exported: &Exported) -> Result<Plan, neena_engine::plan::PlanError> {
    let graph_hash = Hash::of(exported.graph.as_bytes());
    let graph = Arc::new(Graph::parse(&exported.graph, graph_hash)?);
    Plan::parse(&exported.head, exported.plan_hash, graph)
}
