//! Local bearer tokens (HS256).

use std::time::{SystemTime, UNIX_EPOCH};

use anyhow::Context;
use jsonwebtoken::{Algorithm, EncodingKey, Header};
use serde::Serialize;

use crate::config::{Secret, Ttl};

/// What a local token says.
#[derive(Debug)]
pub struct Claims<'a> {
    pub issuer: &'a str,
    pub audience: &'a str,
    pub email: &'a str,
    /// Absent: the server grants `read` and `write`.
    pub permissions: Option<&'a [String]>,
    /// Absent: the server's local organization.
    pub organization: Option<&'a str>,
    pub ttl: Ttl,
}

#[derive(Serialize)]
struct Wire<'a> {
    iss: &'a str,
    aud: &'a str,
    sub: String,
    email: &'a str,
    iat: u64,
    exp: u64,
    #[serde(skip_serializing_if = "Option::is_none")]
    permissions: Option<&'a [String]>,
    #[serde(skip_serializing_if = "Option::is_none")]
    org_id: Option<&'a str>,
}

/// A signed token for `claims`, valid from now.
pub fn sign(claims: &Claims<'_>, secret: &Secret) -> anyhow::Result<String> {
    let now = SystemTime::now()
        .duration_since(UNIX_EPOCH)
        .context("this machine's clock stands before 1970")?
        .as_secs();
    let wire = Wire {
        iss: claims.issuer,
        aud: claims.audience,
        sub: format!("local|{}", claims.email),
        email: claims.email,
        iat: now,
        exp: now.saturating_add(claims.ttl.0.as_secs()),
        permissions: claims.permissions,
        org_id: claims.organization,
    };
    let key = EncodingKey::from_secret(secret.expose().as_bytes());
    jsonwebtoken::encode(&Header::new(Algorithm::HS256), &wire, &key)
        .context("cannot sign the token")
}

#[cfg(test)]
#[path = "token/tests.rs"]
mod tests;
