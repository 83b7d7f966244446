//! What links and webhooks are signed with: keys derived from one secret, each for one purpose.

use std::fmt;

use base64::Engine;
use base64::prelude::{BASE64_STANDARD, BASE64_URL_SAFE_NO_PAD};
use hmac::{Hmac, KeyInit, Mac};
use neena_store::entities::approval_link;
use sha2::Sha256;
use uuid::Uuid;

const LINKS: &[u8] = b"neena approval link key v1";
const HOOKS: &[u8] = b"neena webhook secret v1:";
/// Bytes of a link's id and its signature.
const TOKEN: usize = 16 + 32;

/// The keys of links and webhooks.
#[derive(Clone)]
pub(crate) struct Keys {
    links: Hmac<Sha256>,
    hooks: Hmac<Sha256>,
}

impl fmt::Debug for Keys {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Keys(…)")
    }
}

/// The key that the messages to one webhook are signed with.
#[derive(Clone)]
pub(crate) struct HookSecret([u8; 32]);

impl Keys {
    /// Keys derived from `secret`.
    pub(crate) fn of(secret: &[u8]) -> Keys {
        let derive = |purpose: &[u8]| {
            let mut key = mac(secret);
            key.update(purpose);
            mac(&key.finalize().into_bytes())
        };
        Keys {
            links: derive(LINKS),
            hooks: derive(HOOKS),
        }
    }

    /// The secret of a hook: derived, so that it is stored nowhere.
    pub(crate) fn of_hook(&self, hook: Uuid) -> HookSecret {
        let mut key = self.hooks.clone();
        key.update(hook.as_bytes());
        HookSecret(key.finalize().into_bytes().into())
    }

    /// The token of a link: its id, and the signature of all that it is bound to.
    pub(crate) fn token(&self, link: &approval_link::Model) -> String {
        let mut bytes = link.id.as_bytes().to_vec();
        bytes.extend_from_slice(&self.signed(link).finalize().into_bytes());
        BASE64_URL_SAFE_NO_PAD.encode(bytes)
    }

    /// Whether `token` is that of `link`, as the link stands now. Takes as long for a wrong one as for the
    /// right one.
    pub(crate) fn holds(&self, token: &str, link: &approval_link::Model) -> bool {
        parts(token).is_some_and(|(id, signature)| {
            id == link.id && self.signed(link).verify_slice(&signature).is_ok()
        })
    }

    fn signed(&self, link: &approval_link::Model) -> Hmac<Sha256> {
        let mut key = self.links.clone();
        key.update(link.id.as_bytes());
        key.update(link.organization_id.as_bytes());
        key.update(link.run_id.as_bytes());
        for number in [link.idx, link.item, link.stage.into(), link.expires_at] {
            key.update(&number.to_be_bytes());
        }
        for text in [&link.plan_hash, &link.recipient] {
            key.update(&(text.len() as u64).to_be_bytes());
            key.update(text.as_bytes());
        }
        key
    }
}

/// The link a token names; not yet known to be genuine.
pub(crate) fn named(token: &str) -> Option<Uuid> {
    Some(parts(token)?.0)
}

fn parts(token: &str) -> Option<(Uuid, [u8; 32])> {
    let bytes = BASE64_URL_SAFE_NO_PAD.decode(token).ok()?;
    if bytes.len() != TOKEN {
        return None;
    }
    let (id, signature) = bytes.split_at(16);
    Some((Uuid::from_slice(id).ok()?, signature.try_into().ok()?))
}

impl HookSecret {
    /// As it is shown to whoever checks signatures (Standard Webhooks).
    pub(crate) fn shown(&self) -> String {
        format!("whsec_{}", BASE64_STANDARD.encode(self.0))
    }

    /// The signature of a message (Standard Webhooks): of its id, its time in seconds and its body.
    pub(super) fn sign(&self, id: &str, seconds: i64, body: &str) -> String {
        let mut key = mac(&self.0);
        key.update(format!("{id}.{seconds}.{body}").as_bytes());
        format!("v1,{}", BASE64_STANDARD.encode(key.finalize().into_bytes()))
    }
}

#[expect(clippy::expect_used, reason = "HMAC takes a key of any length")]
fn mac(key: &[u8]) -> Hmac<Sha256> {
    Hmac::new_from_slice(key).expect("HMAC takes a key of any length")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn link() -> approval_link::Model {
        approval_link::Model {
            id: Uuid::now_v7(),
            organization_id: Uuid::now_v7(),
            run_id: Uuid::now_v7(),
            idx: -1,
            item: -1,
            stage: 0,
            plan_hash: "ab".repeat(32),
            recipient: "eve@example.com".to_owned(),
            expires_at: 1,
            used_at: None,
            used_as: None,
            done_at: None,
        }
    }

    #[test]
    fn a_token_is_that_of_its_link_as_it_stands() {
        let keys = Keys::of(&[7; 32]);
        let link = link();
        let token = keys.token(&link);
        assert_eq!(named(&token), Some(link.id));
        assert!(keys.holds(&token, &link));
        assert!(!Keys::of(&[8; 32]).holds(&token, &link));
        let changes: [fn(&mut approval_link::Model); 8] = [
            |link| link.organization_id = Uuid::nil(),
            |link| link.run_id = Uuid::nil(),
            |link| link.idx = 0,
            |link| link.item = 0,
            |link| link.stage = 1,
            |link| link.plan_hash.replace_range(0..1, "b"),
            |link| link.recipient.push('x'),
            |link| link.expires_at += 1,
        ];
        for change in changes {
            let mut other = link.clone();
            change(&mut other);
            assert!(!keys.holds(&token, &other), "{other:?}");
        }
    }

    #[test]
    fn the_example_of_standard_webhooks_is_signed_as_it_says() {
        let key = BASE64_STANDARD.decode("MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw");
        let mut signed = mac(&key.unwrap_or_default());
        let (id, seconds) = ("msg_p5jXN8AQM9LWM0D4loKWxJek", 1_614_265_330);
        signed.update(format!("{id}.{seconds}.{{\"test\": 2432232314}}").as_bytes());
        assert_eq!(
            BASE64_STANDARD.encode(signed.finalize().into_bytes()),
            "g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE="
        );
    }
}
