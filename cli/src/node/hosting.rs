//! Python integrations of this process: found, registered and hosted at the start.

use std::path::Path;
use std::time::Duration;

use anyhow::Context;
use neena_api::catalogue::{Manifest, SYSTEM_EMAIL, upsert_manifest};
use neena_store::Db;
use neena_worker::executors::PythonHosts;
use neena_worker::executors::python::{Interpreter, Settings as PythonSettings};
use tracing::{debug, info, warn};

use super::WorkerOptions;
use crate::local_hosting::LocalHosting;

/// How often a registration is tried that others may have got in the way of.
const TIMES: u32 = 5;

/// The Python hosts; none, with a warning, where there is no interpreter that works.
pub(super) async fn python(options: &WorkerOptions) -> Option<PythonHosts> {
    let interpreter = match Interpreter::check(&options.python).await {
        Ok(interpreter) => interpreter,
        Err(problem) => {
            warn!(%problem, "Python tasks are not hosted");
            return None;
        }
    };
    let settings = PythonSettings::new(interpreter, options.sdk_dir.clone(), options.slots);
    PythonHosts::new(settings)
        .inspect_err(|problem| warn!(%problem, "Python tasks are not hosted"))
        .ok()
}

/// Registers and hosts the integrations asked for.
pub(super) async fn register(
    options: &WorkerOptions,
    db: &Db,
    hosting: Option<&LocalHosting>,
) -> anyhow::Result<()> {
    let Some(hosting) = hosting else {
        anyhow::ensure!(
            options.integrations.is_empty(),
            "integrations are to be loaded, but {} does not run",
            options.python.display()
        );
        return Ok(());
    };
    for path in &options.integrations {
        one(path, db, hosting.hosts()).await?;
    }
    Ok(())
}

async fn one(path: &Path, db: &Db, hosts: &PythonHosts) -> anyhow::Result<()> {
    let (found, manifest) = hosts
        .find(path)
        .await
        .with_context(|| format!("cannot load {}", path.display()))?;
    let manifest: Manifest = serde_json::from_value(manifest)
        .with_context(|| format!("cannot register {}", path.display()))?;
    again(&path.display().to_string(), || {
        upsert_manifest(db, manifest.clone(), Some(SYSTEM_EMAIL))
    })
    .await?;
    for hosted in &found {
        hosts
            .register(hosted)
            .await
            .with_context(|| format!("cannot load {}", path.display()))?;
        info!(integration = %hosted.short_name, digest = %hosted.code_digest, "hosted");
    }
    Ok(())
}

/// Registers `what`, again if need be: processes that start together insert the same rows, and one of them is
/// turned away.
pub(super) async fn again<T, E, F>(what: &str, mut register: impl FnMut() -> F) -> anyhow::Result<T>
where
    F: Future<Output = Result<T, E>>,
    E: std::error::Error + Send + Sync + 'static,
{
    let mut times = 1;
    loop {
        match register().await {
            Ok(done) => return Ok(done),
            Err(problem) if times < TIMES => {
                debug!(%problem, what, "not registered yet");
                tokio::time::sleep(Duration::from_millis(100) * times).await;
                times += 1;
            }
            Err(problem) => {
                return Err(problem).with_context(|| format!("cannot register {what}"));
            }
        }
    }
}
