//! What all rows share: the servers, the program, the folder, the seed.

use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use anyhow::Context;

use crate::servers::Servers;

/// Where rows are tried.
#[derive(Debug)]
pub struct Lab {
    pub repository: PathBuf,
    /// The program, built with failpoints.
    pub neena: PathBuf,
    pub dir: PathBuf,
    pub servers: Servers,
    pub seed: u64,
    /// How much of the full number of runs is tried.
    pub scale: f64,
    /// Seconds instead of the full time of a row that lasts for one.
    pub seconds: Option<u64>,
    /// The planted bug of a control.
    pub planted: Option<&'static str>,
    sites: AtomicU32,
}

impl Lab {
    /// Starts the servers in `dir`.
    pub async fn open(
        repository: &Path,
        neena: &Path,
        dir: &Path,
        seed: u64,
    ) -> anyhow::Result<Lab> {
        let servers = Servers::start(repository, &dir.join("servers"), None)
            .await
            .context("the throwaway servers did not start")?;
        Ok(Lab {
            repository: repository.to_owned(),
            neena: neena.to_owned(),
            dir: dir.to_owned(),
            servers,
            seed,
            scale: 1.0,
            seconds: None,
            planted: None,
            sites: AtomicU32::new(0),
        })
    }

    /// So many at full scale; never less than ten.
    pub fn count(&self, full: usize) -> usize {
        ((full as f64 * self.scale).round() as usize).clamp(full.min(10), full.max(10))
    }

    /// So long at full scale.
    pub fn time(&self, full: u64) -> Duration {
        let scaled = (full as f64 * self.scale).round() as u64;
        Duration::from_secs(self.seconds.unwrap_or(scaled).clamp(full.min(10), full))
    }

    /// How long to wait for what should come; with a planted bug it may never come.
    pub fn patience(&self, seconds: u64) -> Duration {
        Duration::from_secs(if self.planted.is_some() {
            seconds.min(30)
        } else {
            seconds
        })
    }

    /// A number for the next site.
    pub fn next_site(&self) -> u32 {
        self.sites.fetch_add(1, Ordering::Relaxed)
    }
}
