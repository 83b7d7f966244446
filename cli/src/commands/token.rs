//! `neena token`

use neena_api::auth::local::{LocalToken, sign};
use serde_json::json;

use super::{Done, print, print_json};
use crate::config::Token;
use crate::data_dir::{self, DataDir};

/// Prints a signed token, and nothing else.
pub fn run(options: &Token, json: bool) -> anyhow::Result<Done> {
    let secret = match &options.issuer.jwt_secret {
        // With a secret of its own nothing of the data directory is needed, nor made.
        Some(secret) => data_dir::given(secret)?,
        None => DataDir::open(&options.data.data_dir)?.secret()?,
    };
    let token = LocalToken {
        email: &options.email,
        permissions: options.permissions.as_deref(),
        organization: options.organization.as_deref(),
        ttl: options.ttl.0,
        issuer: &options.issuer.jwt_issuer,
        audience: &options.issuer.jwt_audience,
    };
    let token = sign(&secret, &token)?;
    if json {
        print_json(&json!({ "token": token }))?
    } else {
        print(&token)?
    }
    Ok(Done::Well)
}
