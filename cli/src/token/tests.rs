#![expect(clippy::unwrap_used, reason = "tests")]

use std::time::Duration;

use jsonwebtoken::{DecodingKey, Validation};
use serde_json::{Value, json};

use super::*;

const SECRET: &str = "vaWEQbiGFDIjSbPuBXwZmVaeYDSHoqFe";

fn claims(permissions: Option<&[String]>) -> Value {
    let claims = Claims {
        issuer: "neena",
        audience: "neena",
        email: "ada@example.org",
        permissions,
        organization: permissions.map(|_| "acme"),
        ttl: Ttl(Duration::from_secs(3600)),
    };
    let token = sign(&claims, &Secret::from(SECRET.to_owned())).unwrap();
    let mut validation = Validation::new(Algorithm::HS256);
    validation.set_audience(&["neena"]);
    validation.set_issuer(&["neena"]);
    let key = DecodingKey::from_secret(SECRET.as_bytes());
    jsonwebtoken::decode::<Value>(&token, &key, &validation)
        .unwrap()
        .claims
}

#[test]
fn a_token_says_who_and_for_how_long() {
    let claims = claims(None);
    assert_eq!(claims["sub"], "local|ada@example.org");
    assert_eq!(claims["email"], "ada@example.org");
    assert_eq!(
        claims["exp"].as_u64().unwrap() - claims["iat"].as_u64().unwrap(),
        3600
    );
    assert_eq!(claims.get("permissions"), None);
    assert_eq!(claims.get("org_id"), None);
}

#[test]
fn a_token_carries_the_permissions_and_the_organization_it_was_given() {
    let permissions = ["read".to_owned(), "approve".to_owned()];
    let claims = claims(Some(&permissions));
    assert_eq!(claims["permissions"], json!(["read", "approve"]));
    assert_eq!(claims["org_id"], "acme");
}
