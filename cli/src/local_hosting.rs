//! Hosts code that lies on this machine, and only the very code that is registered.

use std::path::{Path, PathBuf};

use anyhow::Context;
use async_trait::async_trait;
use neena_api::Hosting;
use neena_store::Db;
use neena_store::queries::hosting;
use neena_worker::executors::PythonHosts;
use tracing::{info, warn};

/// The Python hosts of this process, behind the API's seam.
#[derive(Debug)]
pub struct LocalHosting(PythonHosts);

impl LocalHosting {
    /// Hosts through `hosts`.
    pub fn new(hosts: PythonHosts) -> LocalHosting {
        LocalHosting(hosts)
    }

    /// The hosts themselves.
    pub fn hosts(&self) -> &PythonHosts {
        &self.0
    }

    /// Hosts again what was synced by path before. What is gone or has changed since is not hosted:
    /// its runs wait until it is synced again.
    pub(crate) async fn host_synced(&self, db: &Db) -> anyhow::Result<()> {
        let synced = hosting::synced_paths(db.reader())
            .await
            .context("cannot read the registered integrations")?;
        for (short_name, digest, path) in synced {
            if self.0.size(&short_name, &digest) > 0 {
                continue;
            }
            match self.host(&short_name, &digest, &PathBuf::from(path)).await {
                Ok(()) => info!(integration = %short_name, %digest, "hosted"),
                Err(problem) => warn!(integration = %short_name, %problem, "not hosted"),
            }
        }
        Ok(())
    }
}

#[async_trait]
impl Hosting for LocalHosting {
    async fn host(&self, short_name: &str, digest: &str, path: &Path) -> Result<(), String> {
        let (found, _) = self
            .0
            .find(path)
            .await
            .map_err(|problem| problem.to_string())?;
        let Some(hosted) = found.iter().find(|hosted| hosted.short_name == short_name) else {
            return Err(format!(
                "there is no integration `{short_name}` at {}",
                path.display()
            ));
        };
        if hosted.code_digest != digest {
            return Err(format!(
                "the code at {} has the digest {} here, not the registered {digest}",
                path.display(),
                hosted.code_digest
            ));
        }
        self.0
            .register(hosted)
            .await
            .map_err(|problem| problem.to_string())
    }
}
