//! `neena migrate`

use serde_json::json;

use super::{Done, print, print_json};
use crate::config::Migrate;
use crate::{logs, roles};

/// Brings the database to this version; refuses while a server uses the file.
pub async fn run(options: Migrate, json: bool) -> anyhow::Result<Done> {
    logs::start(&options.log)?;
    let roles::Migrated { database, applied } = roles::migrate(&options).await?;
    if json {
        print_json(&json!({ "database": database, "applied": applied }))?;
    } else {
        print(&format!(
            "{database} is up to date ({applied} migrations applied)"
        ))?;
    }
    Ok(Done::Well)
}
