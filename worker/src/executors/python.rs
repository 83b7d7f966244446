//! Python integrations: found by introspection, run in warm host processes.
//!
//! Only what this process introspected itself can be called, under the digest it computed itself.

mod frame;
mod interpreter;
mod introspect;
mod life;
mod output;
mod pool;
mod process;
pub mod sdk;
mod settings;

use std::collections::HashMap;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Weak};
use std::time::Duration;

use async_trait::async_trait;
use neena_engine::run::Outcome;
use neena_store::Hosts;
use parking_lot::RwLock;
use serde::Deserialize;
use serde_json::Value;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

pub use interpreter::{Interpreter, InterpreterError, environment};
pub use introspect::{IntegrationFault, IntrospectError, introspect};
pub use settings::Settings;

use self::frame::MAX_BODY;
use self::pool::Pool;
use self::process::Ended;
use super::{Call, Executor, checked, failed, not_hosted};

/// So often a call is handed to another process because one was gone before it had read it.
const UNSENT: u32 = 5;

/// Why an integration cannot be hosted, or a host process is not there.
#[derive(Debug, thiserror::Error)]
pub enum HostError {
    #[error(transparent)]
    Introspect(#[from] IntrospectError),
    #[error("cannot write the Python package: {0}")]
    Sdk(#[source] io::Error),
    #[error("cannot run {}: {error}", program.display())]
    Spawn { program: PathBuf, error: io::Error },
    #[error(transparent)]
    Io(#[from] io::Error),
    /// The integration itself refused: `code_changed`, `load_failed`.
    #[error("{message}")]
    Load { kind: String, message: String },
    #[error("the host process {how} while it started\n{output}")]
    Crashed { how: String, output: String },
    #[error("the host process was not ready within {limit:?}\n{output}")]
    StartTimeout { limit: Duration, output: String },
    #[error("the host process does not speak our protocol: {0}")]
    Protocol(String),
    #[error("{} is not UTF-8", .0.display())]
    Path(PathBuf),
    #[error("the hosts are shut down")]
    Closed,
}

impl HostError {
    /// The outcome of a call for which no process could be had.
    fn outcome(self) -> Outcome {
        match self {
            HostError::Load { kind, message } => failed(&kind, message, false),
            other => failed("host_unavailable", other.to_string(), true),
        }
    }
}

/// An integration found by our own introspection.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Hosted {
    pub short_name: String,
    pub code_digest: String,
    /// Its file or package.
    pub path: PathBuf,
    /// The methods that may be called, sorted.
    pub tasks: Vec<String>,
}

/// The host processes of all Python integrations. Cheap to clone; needs a runtime.
#[derive(Clone, Debug)]
pub struct PythonHosts {
    inner: Arc<Inner>,
}

#[derive(Debug)]
struct Inner {
    settings: Arc<Settings>,
    sdk_dir: PathBuf,
    /// By short name.
    integrations: RwLock<HashMap<String, Versions>>,
    tracker: TaskTracker,
    /// Kills every process.
    ends: CancellationToken,
}

/// The versions of an integration's code: the newest, and older ones whose processes still live.
#[derive(Debug, Default)]
struct Versions {
    newest: String,
    pools: HashMap<String, Arc<Pool>>,
}

impl PythonHosts {
    /// Writes the Python package if it is not there yet. No process is started before an integration
    /// is hosted.
    pub fn new(settings: Settings) -> Result<PythonHosts, HostError> {
        let root = sdk::install(&settings.sdk_dir).map_err(HostError::Sdk)?;
        let sdk_dir = settings.sdk_dir.clone();
        let settings = Arc::new(Settings {
            sdk_dir: root,
            ..settings
        });
        let inner = Arc::new(Inner {
            settings,
            sdk_dir,
            integrations: RwLock::default(),
            tracker: TaskTracker::new(),
            ends: CancellationToken::new(),
        });
        tokio::spawn(shrink_now_and_then(
            Arc::downgrade(&inner),
            inner.ends.clone(),
        ));
        Ok(PythonHosts { inner })
    }

    /// What is at a path, without hosting it, and its manifest.
    pub async fn find(&self, path: &Path) -> Result<(Vec<Hosted>, Value), HostError> {
        let manifest = introspect(
            &self.inner.settings.interpreter,
            &self.inner.sdk_dir,
            &[path.to_owned()],
        )
        .await?;
        let found = hosted(&manifest)
            .map_err(|error| IntrospectError::Failed(format!("not a manifest: {error}")))?;
        Ok((found, manifest))
    }

    /// Hosts what was found: it has one warm process when this returns, or is not hosted.
    pub async fn register(&self, found: &Hosted) -> Result<(), HostError> {
        let Inner {
            settings,
            tracker,
            ends,
            ..
        } = &*self.inner;
        let known = self.inner.pool(&found.short_name, &found.code_digest);
        let pool = known.unwrap_or_else(|| {
            Pool::new(
                found.clone(),
                settings.clone(),
                tracker.clone(),
                ends.clone(),
            )
        });
        pool.warm().await?;
        let mut integrations = self.inner.integrations.write();
        let versions = integrations.entry(found.short_name.clone()).or_default();
        versions.newest.clone_from(&found.code_digest);
        versions
            .pools
            .entry(found.code_digest.clone())
            .or_insert(pool);
        Ok(())
    }

    /// Finds and hosts everything at a path.
    pub async fn host(&self, path: &Path) -> Result<Vec<Hosted>, HostError> {
        let (found, _) = self.find(path).await?;
        for hosted in &found {
            self.register(hosted).await?;
        }
        Ok(found)
    }

    /// Processes of an integration's code, idle and busy.
    pub fn size(&self, integration: &str, code_digest: &str) -> usize {
        self.inner
            .pool(integration, code_digest)
            .map_or(0, |pool| pool.size())
    }

    /// Lets go of processes idle for longer than `idle_for`: all but one of each integration's newest
    /// code, and every one of older code, which is then hosted no more.
    pub async fn shrink(&self, idle_for: Duration) {
        self.inner.shrink(idle_for).await;
    }
}

impl Inner {
    fn pool(&self, integration: &str, code_digest: &str) -> Option<Arc<Pool>> {
        self.integrations
            .read()
            .get(integration)?
            .pools
            .get(code_digest)
            .cloned()
    }

    fn pools(&self) -> Vec<(bool, Arc<Pool>)> {
        let integrations = self.integrations.read();
        let each = integrations.values().flat_map(|versions| {
            let newest = versions.newest.as_str();
            versions
                .pools
                .iter()
                .map(move |(digest, pool)| (digest == newest, pool.clone()))
        });
        each.collect()
    }

    async fn shrink(&self, idle_for: Duration) {
        for (newest, pool) in self.pools() {
            let empty = pool.shrink(idle_for, usize::from(newest)).await;
            if empty && !newest {
                let mut integrations = self.integrations.write();
                if let Some(versions) = integrations.get_mut(&pool.hosted.short_name)
                    && versions.newest != pool.hosted.code_digest
                {
                    versions.pools.remove(&pool.hosted.code_digest);
                }
            }
        }
    }
}

#[async_trait]
impl Executor for PythonHosts {
    fn hosts(&self, integration: &str, code_digest: &str) -> bool {
        self.inner.pool(integration, code_digest).is_some()
    }

    fn hosted(&self) -> Hosts {
        let integrations = self.inner.integrations.read();
        let each = integrations.iter().map(|(short_name, versions)| {
            let mut digests: Vec<String> = versions.pools.keys().cloned().collect();
            digests.sort_unstable();
            (short_name.clone(), digests)
        });
        each.collect()
    }

    async fn run(&self, call: Call, stop: CancellationToken) -> Outcome {
        let Some(pool) = self.inner.pool(&call.integration, &call.code_digest) else {
            return not_hosted(&call);
        };
        if pool.hosted.tasks.binary_search(&call.method).is_err() {
            let message = format!("{} has no task {:?}", call.integration, call.method);
            return failed("unknown_method", message, false);
        }
        if let Some(refused) = unfit(call.arguments.text()) {
            return refused;
        }
        let mut unsent = 0;
        loop {
            let taken = tokio::select! {
                biased;
                () = stop.cancelled() => return Outcome::Stopped,
                taken = pool.take() => taken,
            };
            let mut process = match taken {
                Ok(process) => process,
                Err(error) => return error.outcome(),
            };
            match process.call(&call, &stop).await {
                Ended::Alive(outcome) => {
                    pool.give(process);
                    return outcome;
                }
                Ended::Gone(outcome) => return outcome,
                Ended::NotSent(_) if unsent < UNSENT => unsent += 1,
                Ended::NotSent(outcome) => return outcome,
            }
        }
    }

    async fn shutdown(&self) {
        let closing = self
            .inner
            .pools()
            .into_iter()
            .map(|(_, pool)| async move { pool.close().await });
        futures_util::future::join_all(closing).await;
        self.inner.ends.cancel();
        self.inner.tracker.close();
        if tokio::time::timeout(Duration::from_secs(10), self.inner.tracker.wait())
            .await
            .is_err()
        {
            tracing::error!("host processes are left");
        }
    }
}

/// The outcome of a call whose arguments no host is given.
fn unfit(arguments: &str) -> Option<Outcome> {
    let size = arguments.len();
    if size > MAX_BODY {
        let message = format!("the arguments have {size} bytes; at most {MAX_BODY} are allowed");
        return Some(failed("arguments_too_large", message, false));
    }
    // A result as deep as may be still fits into an argument.
    let depth = checked::MAX_DEPTH + 10;
    let message = format!("the arguments are nested deeper than {depth} levels");
    (!checked::is_within(arguments, depth)).then(|| failed("invalid_arguments", message, false))
}

async fn shrink_now_and_then(inner: Weak<Inner>, ends: CancellationToken) {
    let mut ticks = tokio::time::interval(Duration::from_secs(30));
    while ends.run_until_cancelled(ticks.tick()).await.is_some() {
        let Some(inner) = inner.upgrade() else { return };
        inner.shrink(inner.settings.idle_for).await;
    }
}

#[derive(Deserialize)]
struct Manifest {
    integrations: Vec<ManifestEntry>,
}

#[derive(Deserialize)]
struct ManifestEntry {
    short_name: String,
    code_digest: String,
    path: PathBuf,
    tasks: Vec<ManifestTask>,
}

#[derive(Deserialize)]
struct ManifestTask {
    python_method_name: String,
}

fn hosted(manifest: &Value) -> Result<Vec<Hosted>, serde_json::Error> {
    let entries = Manifest::deserialize(manifest)?.integrations.into_iter();
    let each = entries.map(|entry| {
        let mut tasks: Vec<String> = entry
            .tasks
            .into_iter()
            .map(|t| t.python_method_name)
            .collect();
        tasks.sort_unstable();
        Hosted {
            short_name: entry.short_name,
            code_digest: entry.code_digest,
            path: entry.path,
            tasks,
        }
    });
    Ok(each.collect())
}
