//! `neena sync`

use std::path::{Path, PathBuf};

use anyhow::Context;
use neena_worker::executors::python::{Interpreter, introspect};
use serde::Deserialize;
use serde_json::Value;

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

/// Introspects the paths and registers what they hold.
pub async fn run(options: Sync, json: bool) -> anyhow::Result<Done> {
    let client = Client::new(&options.server)?;
    let manifest = manifest(&options.python, &options.paths).await?;
    let answer = client
        .put("integrations/sync", &[], Some(&manifest))
        .await?;
    let synced: Synced = read(&answer)?;
    for integration in synced
        .integrations
        .iter()
        .filter(|integration| !integration.hosted)
    {
        let reason = integration
            .reason
            .as_deref()
            .unwrap_or("it does not say why");
        eprintln!(
            "warning: the server does not run the tasks of {}: {reason}",
            integration.short_name
        );
    }
    if json {
        print_json(&answer)?;
        return Ok(Done::Well);
    }
    for Integration {
        short_name,
        code_digest,
        task_definitions,
        ..
    } in &synced.integrations
    {
        let digest = code_digest.as_deref().unwrap_or_default();
        let digest = digest.get(..12).unwrap_or(digest);
        print(&format!(
            "{short_name}  {} tasks  code {digest}",
            task_definitions.len()
        ))?;
    }
    Ok(Done::Well)
}

/// What is at `paths`, found by importing it in a process of its own.
async fn manifest(python: &Path, paths: &[PathBuf]) -> anyhow::Result<Value> {
    let interpreter = Interpreter::check(python).await?;
    // Nobody else can write there, and nothing of it is left.
    let sdk = tempfile::tempdir().context("cannot make a folder for the Python package")?;
    Ok(introspect(&interpreter, sdk.path(), paths).await?)
}
