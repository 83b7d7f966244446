//! Signatures of task messages: HMAC-SHA256 with a key per integration, derived from the master key. Whoever
//! has an integration's key can run and answer its tasks, and no others.

use std::fmt::{self, Debug, Write};

use hmac::{Hmac, KeyInit, Mac};
use sha2::Sha256;

/// What the keys of integrations are derived with.
const PURPOSE: &str = "neena task key v1:";
/// The fewest characters a master key may have.
pub const MASTER_KEY_LENGTH: usize = 32;

/// The keys of all integrations.
#[derive(Clone)]
pub struct TaskKeys(Hmac<Sha256>);

/// The key of one integration: for an outside worker that runs its tasks.
#[derive(Clone)]
pub struct TaskKey([u8; 32]);

/// The master key is too short to be one.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the master key is shorter than {MASTER_KEY_LENGTH} characters")]
pub struct ShortKey;

impl TaskKeys {
    /// Keys derived from a master key of at least [`MASTER_KEY_LENGTH`] characters.
    pub fn new(master: &str) -> Result<TaskKeys, ShortKey> {
        if master.chars().count() < MASTER_KEY_LENGTH {
            return Err(ShortKey);
        }
        Ok(TaskKeys(mac(master.as_bytes())))
    }

    /// The key of an integration.
    pub fn of(&self, integration: &str) -> TaskKey {
        let mut derived = self.0.clone();
        derived.update(PURPOSE.as_bytes());
        derived.update(integration.as_bytes());
        TaskKey(derived.finalize().into_bytes().into())
    }
}

impl TaskKey {
    /// The signature of a body, in lower-case hex.
    pub fn sign(&self, body: &[u8]) -> String {
        let mut mac = mac(&self.0);
        mac.update(body);
        hex(&mac.finalize().into_bytes())
    }

    /// Whether a signature in hex is that of a body. Takes as long for a wrong one as for the right one.
    pub fn signed(&self, body: &[u8], signature: &[u8]) -> bool {
        let mut mac = mac(&self.0);
        mac.update(body);
        unhex(signature).is_some_and(|bytes| mac.verify_slice(&bytes).is_ok())
    }

    /// The key itself in lower-case hex, as an outside worker is given it.
    pub fn to_hex(&self) -> String {
        hex(&self.0)
    }
}

impl Debug for TaskKeys {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("TaskKeys(…)")
    }
}

impl Debug for TaskKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("TaskKey(…)")
    }
}

#[expect(clippy::expect_used, reason = "HMAC takes a key of any length")]
fn mac(key: &[u8]) -> Hmac<Sha256> {
    Hmac::new_from_slice(key).expect("HMAC takes a key of any length")
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().fold(String::new(), |mut text, byte| {
        // Writing to a string cannot fail.
        let _ = write!(text, "{byte:02x}");
        text
    })
}

fn unhex(text: &[u8]) -> Option<Vec<u8>> {
    let digit = |at: u8| char::from(at).to_digit(16).map(|value| value as u8);
    let (pairs, []) = text.as_chunks::<2>() else {
        return None;
    };
    pairs
        .iter()
        .map(|[high, low]| Some(digit(*high)? << 4 | digit(*low)?))
        .collect()
}

#[cfg(test)]
#[expect(clippy::unwrap_used, reason = "tests")]
mod tests {
    use super::*;

    const MASTER: &str = "a master key of thirty-two chars";

    #[test]
    fn the_keys_are_what_an_outside_worker_computes() {
        // python3: hmac.new(hmac.new(master, b"neena task key v1:resize", "sha256").digest(), b"{}", "sha256")
        let key = TaskKeys::new(MASTER).unwrap().of("resize");
        assert_eq!(
            key.to_hex(),
            "59868fe96c0ccf7e35c239e46dd04032f754ed5a65c4af0e3dd399161a2c934e"
        );
        assert_eq!(
            key.sign(b"{}"),
            "671798264cee8b27210ea67b80a4a51282e799984b33518e970a2a6361cb58c2"
        );
    }

    #[test]
    fn a_signature_counts_for_its_body_and_integration_only() {
        let keys = TaskKeys::new(MASTER).unwrap();
        let signature = keys.of("resize").sign(b"body");
        assert!(keys.of("resize").signed(b"body", signature.as_bytes()));
        assert!(!keys.of("resize").signed(b"Body", signature.as_bytes()));
        assert!(!keys.of("resized").signed(b"body", signature.as_bytes()));
        for bad in [&signature[..62], "", "zz", "é", &signature[1..]] {
            assert!(!keys.of("resize").signed(b"body", bad.as_bytes()), "{bad}");
        }
    }

    #[test]
    fn a_short_master_key_is_refused() {
        assert_eq!(TaskKeys::new("short").unwrap_err(), ShortKey);
    }

    #[test]
    fn keys_are_not_logged() {
        let keys = TaskKeys::new(MASTER).unwrap();
        assert_eq!(
            format!("{keys:?} {:?}", keys.of("resize")),
            "TaskKeys(…) TaskKey(…)"
        );
    }
}
