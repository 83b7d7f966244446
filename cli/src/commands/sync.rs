//! `neena sync`

use std::collections::HashSet;
use std::path::{Path, PathBuf};

use anyhow::Context;
use neena_worker::executors::python::{Interpreter, introspect};
use serde::Deserialize;
use serde_json::{Value, json};

use super::{Done, print, print_json};
use crate::client::{Client, read};
use crate::config::Sync;

/// What the server made of a manifest.
#[derive(Debug, Deserialize)]
struct Synced {
    integrations: Vec<Integration>,
}

#[derive(Debug, Deserialize)]
struct Integration {
    short_name: String,
    code_digest: Option<String>,
    /// Whether the server's own worker runs its tasks, and why not.
    hosted: bool,
    reason: Option<String>,
    task_definitions: Vec<Value>,
}

impl Integration {
    /// Why the server does not run its tasks, if it does not.
    fn elsewhere(&self) -> Option<&str> {
        let reason = || self.reason.as_deref().unwrap_or("it does not say why");
        (!self.hosted).then(reason)
    }
}

/// Introspects the paths, reads the declarations, and registers what they hold.
pub async fn run(options: Sync, json: bool) -> anyhow::Result<Done> {
    let client = Client::new(&options.server)?;
    let manifest = manifest(&options.python, &options.paths).await?;
    let external = external(&manifest);
    let answer = client
        .put("integrations/sync", &[], Some(&manifest))
        .await?;
    let synced: Synced = read(&answer)?;
    for integration in &synced.integrations {
        if let Some(reason) = integration.elsewhere()
            && !external.contains(&integration.short_name)
        {
            eprintln!(
                "warning: the server does not run the tasks of {}: {reason}",
                integration.short_name
            );
        }
    }
    if json {
        print_json(&answer)?;
        return Ok(Done::Well);
    }
    for integration in &synced.integrations {
        let digest = integration.code_digest.as_deref().unwrap_or_default();
        let mut line = format!(
            "{}  {} tasks  code {}",
            integration.short_name,
            integration.task_definitions.len(),
            digest.get(..12).unwrap_or(digest)
        );
        if external.contains(&integration.short_name)
            && let Some(reason) = integration.elsewhere()
        {
            line = format!("{line}  {reason}");
        }
        print(&line)?;
    }
    Ok(Done::Well)
}

/// What is at `paths`: integrations declared in JSON files, and those found by importing the other paths in a
/// process of its own.
async fn manifest(python: &Path, paths: &[PathBuf]) -> anyhow::Result<Value> {
    let declared = |path: &&PathBuf| path.extension().is_some_and(|kind| kind == "json");
    let (files, sources): (Vec<&PathBuf>, Vec<&PathBuf>) = paths.iter().partition(declared);
    let mut integrations = Vec::new();
    for file in files {
        integrations.extend(declarations(file)?);
    }
    if !sources.is_empty() {
        let sources: Vec<PathBuf> = sources.into_iter().cloned().collect();
        let interpreter = Interpreter::check(python).await?;
        // Nobody else can write there, and nothing of it is left.
        let sdk = tempfile::tempdir().context("cannot make a folder for the Python package")?;
        let found = introspect(&interpreter, sdk.path(), &sources).await?;
        integrations.extend(
            found["integrations"]
                .as_array()
                .into_iter()
                .flatten()
                .cloned(),
        );
    }
    Ok(json!({ "integrations": integrations }))
}

/// The integrations that a file declares: one, or a whole manifest.
fn declarations(file: &Path) -> anyhow::Result<Vec<Value>> {
    let text =
        std::fs::read_to_string(file).with_context(|| format!("cannot read {}", file.display()))?;
    let declared: Value =
        serde_json::from_str(&text).with_context(|| format!("{} is no JSON", file.display()))?;
    match declared.get("integrations") {
        Some(Value::Array(integrations)) => Ok(integrations.clone()),
        _ => Ok(vec![declared]),
    }
}

/// Short names of the integrations whose tasks are run by workers outside.
fn external(manifest: &Value) -> HashSet<String> {
    let integrations = manifest["integrations"].as_array().into_iter().flatten();
    integrations
        .filter(|integration| integration["kind"] == "external")
        .filter_map(|integration| integration["short_name"].as_str().map(str::to_owned))
        .collect()
}
