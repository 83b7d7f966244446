//! The seam to whatever runs the code of integrations in this process.

use std::fmt;
use std::path::Path;

use async_trait::async_trait;

/// Hosts the code of integrations that a sync names by their path.
#[async_trait]
pub trait Hosting: Send + Sync + fmt::Debug {
    /// Loads the code at `path` and hosts it as `short_name`, only if the digest of what was loaded is
    /// `digest`; otherwise says why not.
    async fn host(&self, short_name: &str, digest: &str, path: &Path) -> Result<(), String>;
}
