//! Why a call did not answer what was asked.

use std::error::Error;
use std::fmt;

use reqwest::Url;
use serde::Deserialize;
use serde_json::Value;

/// One thing wrong with what was sent, and where.
#[derive(Clone, Debug, PartialEq, Deserialize)]
pub struct Fault {
    pub loc: Vec<Value>,
    pub msg: String,
}

impl Fault {
    /// The place in the form `task_operations[0].arguments.path`; empty for the whole body.
    fn place(&self) -> String {
        let mut place = String::new();
        // The first step says `body`, `query` or `path`: people know what they sent.
        for step in self.loc.iter().skip(1) {
            match step {
                Value::String(field) if place.is_empty() => place.push_str(field),
                Value::String(field) => {
                    place.push('.');
                    place.push_str(field);
                }
                step => place.push_str(&format!("[{step}]")),
            }
        }
        place
    }
}

impl fmt::Display for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.place() {
            place if place.is_empty() => f.write_str(&self.msg),
            place => write!(f, "{place}: {}", self.msg),
        }
    }
}

/// Why a call did not answer what was asked.
#[derive(Clone, Debug, PartialEq, thiserror::Error)]
pub enum ClientError {
    /// The base URL cannot be used.
    #[error("the server's URL {url}: {reason}")]
    BadUrl { url: String, reason: String },
    /// Nobody answered.
    #[error("no answer from {url}: {reason}")]
    Unreachable { url: String, reason: String },
    /// The server says no, in words.
    #[error("{detail}")]
    Refused { status: u16, detail: String },
    /// The server lists what is wrong: one line each.
    #[error("{}", .0.iter().map(Fault::to_string).collect::<Vec<_>>().join("\n"))]
    Faults(Vec<Fault>),
    /// The answer is none of this API.
    #[error("an answer that is none of this API (status {status}): {body}")]
    Unexpected { status: u16, body: String },
}

#[derive(Deserialize)]
#[serde(untagged)]
enum Detail {
    Faults(Vec<Fault>),
    Words(String),
}

#[derive(Deserialize)]
struct Body {
    detail: Detail,
}

impl ClientError {
    /// What a connection error means, without the URL's query and with the innermost cause.
    pub(super) fn unreachable(base: &Url, error: &reqwest::Error) -> ClientError {
        if error.is_timeout() {
            return ClientError::Unreachable {
                url: base.to_string(),
                reason: "it took too long".to_owned(),
            };
        }
        let mut cause: &dyn Error = error;
        while let Some(next) = cause.source() {
            cause = next;
        }
        ClientError::Unreachable {
            url: base.to_string(),
            reason: cause.to_string(),
        }
    }

    /// What an answer that is no success says.
    pub(super) fn answered(status: u16, text: &str, with_token: bool) -> ClientError {
        match serde_json::from_str::<Body>(text) {
            Ok(Body {
                detail: Detail::Faults(faults),
            }) if !faults.is_empty() => ClientError::Faults(faults),
            Ok(Body {
                detail: Detail::Words(detail),
            }) => {
                let detail = if status == 401 && !with_token {
                    format!(
                        "{detail}: give a token with --token, NEENA_TOKEN, or the server's --data-dir"
                    )
                } else {
                    detail
                };
                ClientError::Refused { status, detail }
            }
            _ => ClientError::Unexpected {
                status,
                body: shortened(text),
            },
        }
    }
}

/// The beginning of a text, in one line.
pub(super) fn shortened(text: &str) -> String {
    let line: String = text
        .chars()
        .map(|c| if c.is_control() { ' ' } else { c })
        .take(200)
        .collect();
    if line.trim().is_empty() {
        "it is empty".to_owned()
    } else {
        line
    }
}

#[cfg(test)]
#[path = "tests.rs"]
mod tests;
