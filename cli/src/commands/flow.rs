//! `neena flow apply` and `neena flow list`

use std::path::Path;

use anyhow::bail;
use serde_json::{Value, json};

use super::{Done, print, print_json};
use crate::client::{Client, read};
use crate::config::{Apply, List};
use crate::flow_file;
use crate::names::{self, Tasks};
use crate::table;
use crate::view::Flow;

/// Creates or edits the flow of each file; stops at the first that cannot be applied.
pub async fn apply(options: Apply, json: bool) -> anyhow::Result<Done> {
    let client = Client::new(&options.server)?;
    let mut files = Vec::new();
    for path in &options.files {
        files.push((
            path,
            flow_file::read(path).map_err(|error| in_file(path, &error))?,
        ));
    }
    let tasks = Tasks::load(&client).await?;
    let mut applied = Vec::new();
    for (path, flow) in files {
        let flow = flow_file::resolve(flow, &tasks).map_err(|error| in_file(path, &error))?;
        let (change, flow) = apply_one(&client, flow)
            .await
            .map_err(|error| in_file(path, &error))?;
        if !json {
            let view: Flow = read(&flow)?;
            let version = view
                .version
                .map(|version| format!(" version {version}"))
                .unwrap_or_default();
            print(&format!("{}  {}  {change}{version}", view.id, view.name))?;
        }
        applied.push(json!({ "file": path, "change": change, "flow": flow }));
    }
    if json {
        print_json(&Value::Array(applied))?;
    }
    Ok(Done::Well)
}

/// What was done with a flow, and the flow the server has now.
async fn apply_one(client: &Client, mut flow: Value) -> anyhow::Result<(&'static str, Value)> {
    let name = flow["name"].as_str().unwrap_or_default().to_owned();
    let there = match flow.get("id").and_then(Value::as_str) {
        Some(_) => vec![names::flow(client, flow["id"].as_str().unwrap_or_default()).await?],
        None => names::flows_named(client, &name).await?,
    };
    match there.as_slice() {
        [] => Ok(("created", client.post("flows/", &flow).await?)),
        [stored] if flow_file::is_same(stored, &flow) => Ok(("unchanged", stored.clone())),
        [stored] => {
            flow["id"] = stored["id"].clone();
            Ok(("edited", client.put("flows/", &[], Some(&flow)).await?))
        }
        several => bail!(
            "{} flows are named `{name}`: give the `id` of one in the file: {}",
            several.len(),
            names::ids(several)
        ),
    }
}

/// The error with the file in front of each of its lines.
fn in_file(path: &Path, error: &anyhow::Error) -> anyhow::Error {
    let text = format!("{error:#}");
    let lines: Vec<String> = text
        .lines()
        .map(|line| format!("{}: {line}", path.display()))
        .collect();
    anyhow::anyhow!(lines.join("\n"))
}

/// Lists flows, newest first.
pub async fn list(options: List, json: bool) -> anyhow::Result<Done> {
    let client = Client::new(&options.server)?;
    let (skip, limit) = (options.skip.to_string(), options.limit.to_string());
    let flows = client
        .get("flows/all", &[("skip", &skip), ("limit", &limit)])
        .await?;
    if json {
        print_json(&flows)?;
        return Ok(Done::Well);
    }
    let flows: Vec<Flow> = read(&flows)?;
    let mut table = table::table(&["id", "name", "version", "tasks", "modified", "by"]);
    for flow in &flows {
        table.add_row([
            flow.id.clone(),
            table::short(&flow.name, 60),
            flow.version
                .map(|version| version.to_string())
                .unwrap_or_default(),
            flow.task_operations.len().to_string(),
            table::local(Some(&flow.modified_date)),
            table::short(flow.modified_by_email.as_deref().unwrap_or_default(), 40),
        ]);
    }
    print(&table.trim_fmt())?;
    Ok(Done::Well)
}
