//! Bearer tokens that hold, and every way in which one does not.

use axum::body::Body;
use axum::http::Request;
use jsonwebtoken::{Algorithm, EncodingKey, Header, encode};
use serde_json::{Value, json};

use crate::harness::{Api, ISSUER};

const PATH: &str = "/api/v1/users/";

fn now() -> i64 {
    std::time::SystemTime::now()
        .duration_since(std::time::UNIX_EPOCH)
        .unwrap()
        .as_secs() as i64
}

/// Claims of a token that holds.
fn good() -> Value {
    json!({
        "iss": ISSUER, "aud": ISSUER, "sub": "auth0|1", "email": "ada@example.com",
        "exp": now() + 600, "iat": now(),
    })
}

/// The claims with some changed; null takes one away.
fn with(changes: Value) -> Value {
    let mut claims = good();
    for (name, value) in changes.as_object().unwrap() {
        match value {
            Value::Null => claims.as_object_mut().unwrap().remove(name),
            value => claims
                .as_object_mut()
                .unwrap()
                .insert(name.clone(), value.clone()),
        };
    }
    claims
}

fn signed(api: &Api, header: Header, claims: &Value) -> String {
    encode(
        &header,
        claims,
        &EncodingKey::from_secret(api.secret.expose()),
    )
    .unwrap()
}

/// A token with any header at all, signed with our key.
fn signed_raw(api: &Api, header: &Value, claims: &Value) -> String {
    let part = |value: &Value| base64(value.to_string().as_bytes());
    let message = format!("{}.{}", part(header), part(claims));
    let key = EncodingKey::from_secret(api.secret.expose());
    let signature = jsonwebtoken::crypto::sign(message.as_bytes(), &key, Algorithm::HS256).unwrap();
    format!("{message}.{signature}")
}

fn base64(bytes: &[u8]) -> String {
    const DIGITS: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";
    let mut text = String::new();
    for chunk in bytes.chunks(3) {
        let bits = chunk
            .iter()
            .fold(0_u32, |bits, byte| bits << 8 | u32::from(*byte))
            << (8 * (3 - chunk.len()));
        for place in 0..=chunk.len() {
            text.push(char::from(DIGITS[(bits >> (18 - 6 * place) & 63) as usize]));
        }
    }
    text
}

async fn refused(api: &Api, token: &str, why: &str) {
    let answer = api.call("GET", PATH, token, None).await;
    assert_eq!(answer.status.as_u16(), 401, "{why}: {}", answer.text);
    assert_eq!(answer.headers["www-authenticate"], "Bearer", "{why}");
    assert_eq!(answer.body, json!({"detail": "Not authenticated"}), "{why}");
    assert!(answer.headers.contains_key("x-request-id"), "{why}");
}

#[tokio::test]
async fn a_token_that_holds_is_let_in() {
    let api = Api::start().await;
    let token = signed(&api, Header::new(Algorithm::HS256), &good());
    api.call("GET", PATH, &token, None).await.expect(200);
    let listed = with(json!({"aud": ["other", ISSUER]}));
    let token = signed(&api, Header::new(Algorithm::HS256), &listed);
    api.call("GET", PATH, &token, None).await.expect(200);
    let raw = signed_raw(&api, &json!({"alg": "HS256", "typ": "at+jwt"}), &good());
    api.call("GET", PATH, &raw, None).await.expect(200);
}

#[tokio::test]
async fn no_algorithm_but_the_configured_one_is_taken() {
    let api = Api::start().await;
    for name in [
        "none", "None", "nOnE", "NONE", "HS384", "HS512", "RS256", "ES256", "hs256", "",
    ] {
        let header = json!({"alg": name, "typ": "JWT"});
        let token = signed_raw(&api, &header, &good());
        refused(&api, &token, name).await;
        let unsigned = format!("{}.", token.rsplit_once('.').unwrap().0);
        refused(&api, &unsigned, name).await;
    }
    let token = signed(&api, Header::new(Algorithm::HS384), &good());
    refused(&api, &token, "HS384, signed with the right key").await;
}

#[tokio::test]
async fn a_key_that_anybody_knows_signs_nothing() {
    let api = Api::start().await;
    let public =
        b"-----BEGIN PUBLIC KEY-----\nMFwwDQYJKoZIhvcNAQEBBQADSwAwSAJB\n-----END PUBLIC KEY-----";
    for key in [
        &public[..],
        b"",
        b"secret",
        b"valid_api_key",
        b"your-256-bit-secret",
    ] {
        let key = EncodingKey::from_secret(key);
        let token = encode(&Header::new(Algorithm::HS256), &good(), &key).unwrap();
        refused(&api, &token, "a foreign key").await;
    }
    for token in ["valid_api_key", "YOUR_ACCESS_TOKEN", "null", "undefined"] {
        refused(&api, token, token).await;
    }
}

#[tokio::test]
async fn a_header_that_names_a_key_is_refused() {
    let api = Api::start().await;
    let kids = [
        json!("unknown"),
        json!("../../dev/null"),
        json!("' OR 1=1--"),
        json!("k".repeat(1 << 20)),
        json!(["a"]),
    ];
    for kid in kids {
        let header = json!({"alg": "HS256", "typ": "JWT", "kid": kid});
        refused(&api, &signed_raw(&api, &header, &good()), "kid").await;
    }
    for (name, value) in [
        ("jku", json!("http://127.0.0.1:1/keys")),
        ("x5u", json!("http://127.0.0.1:1/cert")),
        (
            "jwk",
            json!({"kty": "oct", "k": base64(api.secret.expose())}),
        ),
        ("x5c", json!(["MIIB"])),
        ("crit", json!(["exp"])),
    ] {
        let mut header = json!({"alg": "HS256", "typ": "JWT"});
        header[name] = value;
        refused(&api, &signed_raw(&api, &header, &good()), name).await;
    }
}

#[tokio::test]
async fn times_must_be_numbers_and_right() {
    let api = Api::start().await;
    for (why, changes) in [
        ("expired", json!({"exp": now() - 6})),
        ("long expired", json!({"exp": 0})),
        ("no expiry", json!({"exp": null})),
        ("expiry as text", json!({"exp": (now() + 600).to_string()})),
        ("expiry that is no time", json!({"exp": 1e300})),
        ("negative expiry", json!({"exp": -1})),
        ("expiry in a list", json!({"exp": [now() + 600]})),
        ("not yet valid", json!({"nbf": now() + 60})),
        ("nbf as text", json!({"nbf": "0"})),
        ("issued in the future", json!({"iat": now() + 60})),
        ("iat as text", json!({"iat": "0"})),
    ] {
        let token = signed(&api, Header::new(Algorithm::HS256), &with(changes));
        refused(&api, &token, why).await;
    }
    let within_leeway = with(json!({"exp": now() - 2, "nbf": now() + 2}));
    let token = signed(&api, Header::new(Algorithm::HS256), &within_leeway);
    api.call("GET", PATH, &token, None).await.expect(200);
}

#[tokio::test]
async fn issuer_and_audience_must_be_ours() {
    let api = Api::start().await;
    for (why, changes) in [
        ("another audience", json!({"aud": "other"})),
        ("no audience", json!({"aud": null})),
        ("an empty list of audiences", json!({"aud": []})),
        ("a list without ours", json!({"aud": ["other"]})),
        ("another issuer", json!({"iss": "https://evil.example"})),
        ("no issuer", json!({"iss": null})),
        ("a trailing slash", json!({"iss": "neena/"})),
        ("a list of issuers", json!({"iss": [ISSUER]})),
        ("no subject", json!({"sub": null})),
        ("an empty subject", json!({"sub": ""})),
        ("a number for a subject", json!({"sub": 7})),
        ("an empty organization", json!({"org_id": ""})),
        (
            "permissions that are no list",
            json!({"permissions": "admin"}),
        ),
    ] {
        let token = signed(&api, Header::new(Algorithm::HS256), &with(changes));
        refused(&api, &token, why).await;
    }
}

#[tokio::test]
async fn only_access_tokens_are_taken() {
    let api = Api::start().await;
    for typ in ["id+jwt", "secevent+jwt", "dpop+jwt", "logout+jwt"] {
        let token = signed_raw(&api, &json!({"alg": "HS256", "typ": typ}), &good());
        refused(&api, &token, typ).await;
    }
    for claims in [
        json!({"typ": "ID"}),
        json!({"typ": "Refresh"}),
        json!({"token_use": "id"}),
    ] {
        let token = signed(&api, Header::new(Algorithm::HS256), &with(claims));
        refused(&api, &token, "a claim that says so").await;
    }
}

#[tokio::test]
async fn flipping_any_byte_of_a_token_breaks_it() {
    let api = Api::start().await;
    let token = api.token();
    for at in 0..token.len() {
        for bit in [1, 2, 32] {
            let mut bytes = token.clone().into_bytes();
            bytes[at] ^= bit;
            let Ok(flipped) = String::from_utf8(bytes) else {
                continue;
            };
            if flipped.bytes().any(|byte| byte.is_ascii_control()) {
                continue;
            }
            refused(&api, &flipped, &format!("byte {at}, bit {bit}")).await;
        }
    }
}

#[tokio::test]
async fn a_token_comes_in_one_header_and_nowhere_else() {
    let api = Api::start().await;
    let token = api.token();
    let bare = |path: &str| Request::builder().uri(path);
    let bearer = format!("Bearer {token}");
    let cases: Vec<(&str, Request<Body>)> = vec![
        ("no header", bare(PATH).body(Body::empty()).unwrap()),
        (
            "two headers",
            bare(PATH)
                .header("authorization", &bearer)
                .header("authorization", &bearer)
                .body(Body::empty())
                .unwrap(),
        ),
        (
            "a token in the query",
            bare(&format!("{PATH}?access_token={token}&token={token}"))
                .body(Body::empty())
                .unwrap(),
        ),
        (
            "keys in two headers",
            bare(PATH)
                .header("authorization", &bearer)
                .header("api_key", &token)
                .body(Body::empty())
                .unwrap(),
        ),
        (
            "a key in the other header",
            bare(PATH)
                .header("api_key", &token)
                .body(Body::empty())
                .unwrap(),
        ),
        (
            "another scheme",
            bare(PATH)
                .header("authorization", format!("Basic {token}"))
                .body(Body::empty())
                .unwrap(),
        ),
        (
            "no scheme",
            bare(PATH)
                .header("authorization", &token)
                .body(Body::empty())
                .unwrap(),
        ),
        (
            "an empty token",
            bare(PATH)
                .header("authorization", "Bearer ")
                .body(Body::empty())
                .unwrap(),
        ),
        (
            "a cookie",
            bare(PATH)
                .header("cookie", format!("token={token}"))
                .body(Body::empty())
                .unwrap(),
        ),
    ];
    for (why, request) in cases {
        let answer = api.send(request).await;
        assert_eq!(answer.status.as_u16(), 401, "{why}: {}", answer.text);
        assert_eq!(answer.headers["www-authenticate"], "Bearer", "{why}");
    }
    let lower = bare(PATH)
        .header("authorization", format!("bearer {token}"))
        .body(Body::empty());
    api.send(lower.unwrap()).await.expect(200);
}

#[tokio::test]
async fn a_refused_token_makes_no_user() {
    let api = Api::start().await;
    let token = signed(
        &api,
        Header::new(Algorithm::HS256),
        &with(json!({"exp": 0})),
    );
    refused(&api, &token, "expired").await;
    assert_eq!(api.count("SELECT count(*) FROM users").await, 0);
}

#[tokio::test]
async fn an_empty_e_mail_is_none_at_all() {
    let api = Api::start().await;
    for email in [json!(""), json!("  "), Value::Null] {
        let token = signed(
            &api,
            Header::new(Algorithm::HS256),
            &with(json!({"email": email})),
        );
        let me = api.call("GET", PATH, &token, None).await.expect(200);
        assert_eq!(me.body["email"], "auth0|1", "{email}");
    }
    assert_eq!(
        api.count("SELECT count(*) FROM users WHERE trim(email) = ''")
            .await,
        0
    );
}
