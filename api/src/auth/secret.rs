//! The key that signs local tokens.

use std::fmt;

use uuid::Uuid;

/// Shortest key accepted, in bytes: HS256 wants one as long as its hash (RFC 7518, 3.2).
const SHORTEST: usize = 32;

/// A signing key. Its `Debug` shows nothing of it.
#[derive(Clone)]
pub struct Secret(Box<[u8]>);

/// A key that must not guard anything.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum WeakSecret {
    #[error("the secret that signs tokens is shorter than 32 bytes")]
    Short,
    #[error("the secret that signs tokens is a well-known example; make one of your own")]
    Example,
}

impl Secret {
    /// Takes a key of at least 32 bytes that is not an example or a repetition.
    pub fn new(key: impl Into<Vec<u8>>) -> Result<Secret, WeakSecret> {
        let key = key.into();
        if key.len() < SHORTEST {
            return Err(WeakSecret::Short);
        }
        if is_example(&key) {
            return Err(WeakSecret::Example);
        }
        Ok(Secret(key.into_boxed_slice()))
    }

    /// A fresh random key: 64 hexadecimal digits, so that it can be kept in a text file.
    pub fn random() -> Secret {
        let text = format!("{}{}", Uuid::new_v4().simple(), Uuid::new_v4().simple());
        Secret(text.into_bytes().into_boxed_slice())
    }

    /// The key itself: to sign, to verify, or to store it in a file nobody else reads.
    pub fn expose(&self) -> &[u8] {
        &self.0
    }
}

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Secret(hidden)")
    }
}

/// Whether the key is one that stands in examples, or hardly varies.
fn is_example(key: &[u8]) -> bool {
    const WORDS: [&str; 8] = [
        "changeme",
        "change-me",
        "example",
        "valid_api_key",
        "your-256-bit-secret",
        "your_access_token",
        "insecure",
        "placeholder",
    ];
    let lower = String::from_utf8_lossy(key).to_lowercase();
    let mut distinct = key.to_vec();
    distinct.sort_unstable();
    distinct.dedup();
    distinct.len() < 8 || WORDS.iter().any(|word| lower.contains(word))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn short_and_example_keys_are_refused() {
        assert_eq!(Secret::new("secret").err(), Some(WeakSecret::Short));
        assert_eq!(Secret::new([7; 64]).err(), Some(WeakSecret::Example));
        let example = "please-changeme-please-changeme-please";
        assert_eq!(Secret::new(example).err(), Some(WeakSecret::Example));
    }

    #[test]
    fn a_random_key_passes_and_hides_itself() {
        let secret = Secret::random();
        assert!(Secret::new(secret.expose()).is_ok());
        assert_eq!(format!("{secret:?}"), "Secret(hidden)");
    }
}
