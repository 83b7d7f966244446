//! `neena migrate`

use serde_json::json;

use super::{Done, print, print_json};
use crate::config::Migrate;
use crate::data_dir::DataDir;
use crate::{logs, serve};

/// Brings the database to this version; refuses while a server uses it.
pub async fn run(options: Migrate, json: bool) -> anyhow::Result<Done> {
    logs::start(&options.log)?;
    let dir = DataDir::open(&options.data.data_dir)?;
    let _lock = dir.lock()?;
    let applied = serve::migrate(&dir.database()).await?;
    if json {
        print_json(&json!({ "database": dir.database(), "applied": applied }))?;
    } else {
        print(&format!(
            "{} is up to date ({applied} migrations applied)",
            dir.database().display()
        ))?;
    }
    Ok(Done::Well)
}
