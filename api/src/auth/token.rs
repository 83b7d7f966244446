//! Verifies bearer tokens: JWTs signed with HS256 by one key, with issuer, audience and times pinned.

use std::fmt;
use std::time::{SystemTime, UNIX_EPOCH};

use jsonwebtoken::{Algorithm, DecodingKey, Validation, decode, decode_header};
use serde::Deserialize;

use super::permission::Permissions;
use super::secret::Secret;

/// Clock difference tolerated between the signer and us.
const LEEWAY_SECONDS: u64 = 5;

/// Longest subject, e-mail, name, organization and issuer we take from a token, in bytes.
const LONGEST_CLAIM: usize = 512;

/// How tokens are checked, from the configuration.
#[derive(Clone, Debug)]
pub struct TokenRules {
    pub secret: Secret,
    pub issuer: String,
    pub audience: String,
}

/// What a token that holds says about its bearer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Identity {
    pub issuer: String,
    pub subject: String,
    /// The `email` claim; without one, or with an empty one, the subject stands in for it.
    pub email: String,
    pub name: Option<String>,
    /// The `org_id` claim.
    pub organization: Option<String>,
    pub permissions: Permissions,
}

/// Why a token does not hold. Shown to nobody but the log.
#[derive(Debug, thiserror::Error)]
pub enum BadToken {
    #[error("header: {0}")]
    Header(&'static str),
    #[error("claims: {0}")]
    Claims(&'static str),
    #[error(transparent)]
    Jwt(#[from] jsonwebtoken::errors::Error),
}

/// Checks tokens by one key, one algorithm, one issuer and one audience.
pub struct Verifier {
    key: DecodingKey,
    validation: Validation,
}

impl fmt::Debug for Verifier {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Verifier")
            .field("validation", &self.validation)
            .finish_non_exhaustive()
    }
}

#[derive(Deserialize)]
struct Claims {
    iss: String,
    sub: String,
    iat: Option<f64>,
    email: Option<String>,
    name: Option<String>,
    org_id: Option<String>,
    permissions: Option<Vec<String>>,
    /// Some issuers tell ID and refresh tokens from access tokens by these.
    typ: Option<String>,
    token_use: Option<String>,
}

impl Verifier {
    /// A verifier for `rules`.
    pub fn new(rules: &TokenRules) -> Verifier {
        let mut validation = Validation::new(Algorithm::HS256);
        validation.leeway = LEEWAY_SECONDS;
        validation.validate_nbf = true;
        validation.set_required_spec_claims(&["exp", "iss", "aud", "sub"]);
        validation.set_issuer(&[&rules.issuer]);
        validation.set_audience(&[&rules.audience]);
        Verifier {
            key: DecodingKey::from_secret(rules.secret.expose()),
            validation,
        }
    }

    /// Who bears `token`, if it holds.
    pub fn verify(&self, token: &str) -> Result<Identity, BadToken> {
        check_header(token)?;
        let claims = decode::<Claims>(token, &self.key, &self.validation)?.claims;
        check_claims(&claims)?;
        Ok(Identity {
            email: claims
                .email
                .filter(|email| !email.trim().is_empty())
                .unwrap_or_else(|| claims.sub.clone()),
            issuer: claims.iss,
            subject: claims.sub,
            name: claims.name,
            organization: claims.org_id,
            permissions: Permissions::from_claim(claims.permissions),
        })
    }
}

/// A header may name no key: there is one, and it is ours. What points at others is refused outright.
fn check_header(token: &str) -> Result<(), BadToken> {
    let header = decode_header(token)?;
    if header.kid.is_some() {
        return Err(BadToken::Header("a key id, and no key has one"));
    }
    let foreign_key = header.jku.is_some()
        || header.jwk.is_some()
        || header.x5u.is_some()
        || header.x5c.is_some()
        || header.x5t.is_some()
        || header.x5t_s256.is_some();
    if foreign_key {
        return Err(BadToken::Header("a key of its own"));
    }
    if header.crit.is_some() {
        return Err(BadToken::Header("an extension that must be understood"));
    }
    match header.typ.as_deref() {
        None => Ok(()),
        Some(typ) if typ.eq_ignore_ascii_case("jwt") || typ.eq_ignore_ascii_case("at+jwt") => {
            Ok(())
        }
        Some(_) => Err(BadToken::Header("not an access token")),
    }
}

fn check_claims(claims: &Claims) -> Result<(), BadToken> {
    let now = SystemTime::now()
        .duration_since(UNIX_EPOCH)
        .unwrap_or_default()
        .as_secs_f64();
    if claims
        .iat
        .is_some_and(|issued| issued > now + LEEWAY_SECONDS as f64)
    {
        return Err(BadToken::Claims("issued in the future"));
    }
    if claims.sub.is_empty() {
        return Err(BadToken::Claims("an empty subject"));
    }
    if claims
        .typ
        .as_deref()
        .is_some_and(|typ| !typ.eq_ignore_ascii_case("bearer"))
        || claims
            .token_use
            .as_deref()
            .is_some_and(|usage| usage != "access")
    {
        return Err(BadToken::Claims("not an access token"));
    }
    let texts = [
        Some(&claims.sub),
        claims.email.as_ref(),
        claims.name.as_ref(),
        claims.org_id.as_ref(),
    ];
    let unfit = |text: &String| text.len() > LONGEST_CLAIM || text.contains('\0');
    if texts.into_iter().flatten().any(unfit) {
        return Err(BadToken::Claims("a text that is too long or holds U+0000"));
    }
    if claims.org_id.as_ref().is_some_and(String::is_empty) {
        return Err(BadToken::Claims("an empty organization"));
    }
    Ok(())
}
