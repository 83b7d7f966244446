//! The values options take, parsed.

use std::fmt;
use std::str::FromStr;
use std::time::Duration;

use serde_json::{Map, Value};

/// A text that stays out of debug output and logs.
#[derive(Clone, PartialEq, Eq)]
pub struct Secret(String);

impl Secret {
    /// The text itself.
    pub fn expose(&self) -> &str {
        &self.0
    }
}

impl FromStr for Secret {
    type Err = &'static str;
    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let text = text.trim();
        if text.is_empty() {
            Err("it is empty")
        } else {
            Ok(Secret(text.to_owned()))
        }
    }
}

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Secret(…)")
    }
}

/// How long a token holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Ttl(pub Duration);

impl FromStr for Ttl {
    type Err = &'static str;
    fn from_str(text: &str) -> Result<Self, Self::Err> {
        const WRONG: &str = "give a number and s, m, h or d, such as 90s or 30d (at most 3650d)";
        let digits = text.trim_end_matches(|c: char| c.is_ascii_alphabetic());
        let number: u64 = digits.parse().map_err(|_| WRONG)?;
        let unit = match &text[digits.len()..] {
            "s" | "" => 1,
            "m" => 60,
            "h" => 3_600,
            "d" => 86_400,
            _ => return Err(WRONG),
        };
        match number.checked_mul(unit) {
            Some(seconds @ 1..=315_360_000) => Ok(Ttl(Duration::from_secs(seconds))),
            _ => Err(WRONG),
        }
    }
}

/// One `--metadata`: fields that are merged into the request's metadata.
#[derive(Clone, Debug, PartialEq)]
pub struct Metadata(pub Map<String, Value>);

impl FromStr for Metadata {
    type Err = String;
    fn from_str(text: &str) -> Result<Self, Self::Err> {
        if text.trim_start().starts_with('{') {
            return serde_json::from_str(text)
                .map(Metadata)
                .map_err(|error| error.to_string());
        }
        match text.split_once('=') {
            Some((key, value)) if !key.is_empty() => {
                let value = serde_json::from_str(value).unwrap_or_else(|_| value.into());
                Ok(Metadata(Map::from_iter([(key.to_owned(), value)])))
            }
            _ => Err("give KEY=VALUE or a JSON object".to_owned()),
        }
    }
}

/// An address to listen on: a host or IP address, and a port.
pub fn bind_address(text: &str) -> Result<String, &'static str> {
    match text.rsplit_once(':') {
        Some((host, port)) if !host.is_empty() && port.parse::<u16>().is_ok() => {
            Ok(text.to_owned())
        }
        _ => Err("give HOST:PORT, such as 127.0.0.1:8080"),
    }
}

/// A web address that paths are added to.
pub fn public_url(text: &str) -> Result<String, &'static str> {
    let text = text.trim_end_matches('/');
    let host = text
        .strip_prefix("https://")
        .or_else(|| text.strip_prefix("http://"));
    match host {
        Some(host) if !host.is_empty() && !text.contains(['?', '#', ' ']) => Ok(text.to_owned()),
        _ => Err("give http(s)://HOST, such as https://neena.example.com"),
    }
}

/// An e-mail address, as far as its shape tells.
pub fn email(text: &str) -> Result<String, &'static str> {
    let shaped = text
        .split_once('@')
        .is_some_and(|(user, host)| !user.is_empty() && !host.is_empty() && !host.contains('@'));
    if shaped && !text.chars().any(|c| c.is_whitespace() || c.is_control()) {
        Ok(text.to_owned())
    } else {
        Err("it is no e-mail address")
    }
}

/// A name without blanks around it, not empty.
pub fn word(text: &str) -> Result<String, &'static str> {
    match text.trim() {
        "" => Err("it is empty"),
        word => Ok(word.to_owned()),
    }
}

/// A word that names of exchanges and queues may start with.
pub fn prefix(text: &str) -> Result<String, &'static str> {
    let plain = |c: char| c.is_ascii_alphanumeric() || "-_.".contains(c);
    if (1..=64).contains(&text.len()) && text.chars().all(plain) {
        Ok(text.to_owned())
    } else {
        Err("give up to 64 letters, digits, -, _ and .")
    }
}
