//! Signs local tokens: what `neena token` and `neena serve` hand out.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use jsonwebtoken::{Algorithm, EncodingKey, Header, encode};
use serde::Serialize;

use super::permission::Permission;
use super::secret::Secret;

/// Issuer and audience of local tokens unless configured otherwise.
pub const ISSUER_AND_AUDIENCE: &str = "neena";

/// What a local token says.
#[derive(Clone, Copy, Debug)]
pub struct LocalToken<'a> {
    pub email: &'a str,
    /// None: no claim, which means `read` and `write`.
    pub permissions: Option<&'a [Permission]>,
    /// None: the server's `local` organization.
    pub organization: Option<&'a str>,
    pub ttl: Duration,
    pub issuer: &'a str,
    pub audience: &'a str,
}

/// A token that could not be signed.
#[derive(Debug, thiserror::Error)]
#[error("the token cannot be signed: {0}")]
pub struct SignError(#[from] jsonwebtoken::errors::Error);

#[derive(Serialize)]
struct Claims<'a> {
    iss: &'a str,
    aud: &'a str,
    sub: String,
    email: &'a str,
    iat: u64,
    nbf: u64,
    exp: u64,
    #[serde(skip_serializing_if = "Option::is_none")]
    org_id: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    permissions: Option<Vec<&'static str>>,
}

/// Signs `token` with HS256, valid from now for its `ttl`. The subject is `local|` and the e-mail.
pub fn sign(secret: &Secret, token: &LocalToken<'_>) -> Result<String, SignError> {
    let now = SystemTime::now()
        .duration_since(UNIX_EPOCH)
        .unwrap_or_default()
        .as_secs();
    let claims = Claims {
        iss: token.issuer,
        aud: token.audience,
        sub: format!("local|{}", token.email),
        email: token.email,
        iat: now,
        nbf: now,
        exp: now.saturating_add(token.ttl.as_secs()),
        org_id: token.organization,
        permissions: token
            .permissions
            .map(|list| list.iter().map(|permission| permission.as_str()).collect()),
    };
    let key = EncodingKey::from_secret(secret.expose());
    Ok(encode(&Header::new(Algorithm::HS256), &claims, &key)?)
}
