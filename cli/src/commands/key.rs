//! `neena key`

use anyhow::Context;
use clap::Args;
use neena_bus::remote::TaskKeys;
use serde_json::json;

use super::{Done, print, print_json};
use crate::config::Secret;

/// `neena key INTEGRATION`
#[derive(Debug, Args)]
pub struct Key {
    /// Short name of the integration whose tasks the outside worker runs.
    #[arg(value_name = "INTEGRATION")]
    pub integration: String,
    /// The secret that task messages are signed with.
    #[arg(
        long,
        env = "NEENA_MASTER_KEY",
        value_name = "SECRET",
        hide_env_values = true
    )]
    pub master_key: Secret,
}

/// Prints the key that an outside worker needs for the tasks of one integration, and nothing else.
pub fn run(options: &Key, json: bool) -> anyhow::Result<Done> {
    let keys = TaskKeys::new(options.master_key.expose()).context("no keys can be made")?;
    let key = keys.of(&options.integration).to_hex();
    if json {
        print_json(&json!({ "integration": options.integration, "key": key }))?
    } else {
        print(&key)?
    }
    Ok(Done::Well)
}
