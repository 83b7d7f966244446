//! Values as JSON text, within bounds.

use minijinja::Value;
use minijinja::value::ValueKind;
use serde_json::Number;

/// What the arguments of one task may take, in bytes of JSON.
pub(super) const MAX_BYTES: usize = 1 << 20;

/// How deep a value may nest: what every JSON reader takes.
const MAX_DEPTH: usize = 100;

/// Why a value is not written.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Trouble {
    /// It would take more than [`MAX_BYTES`].
    TooLarge,
    /// It cannot be evaluated, or is not JSON.
    Bad(String),
}

impl From<&str> for Trouble {
    fn from(reason: &str) -> Trouble {
        Trouble::Bad(reason.to_owned())
    }
}

/// A text that refuses to grow past [`MAX_BYTES`].
#[derive(Debug, Default)]
pub(super) struct Bounded(String);

impl Bounded {
    pub(super) fn push(&mut self, text: &str) -> Result<(), Trouble> {
        if self.0.len() + text.len() > MAX_BYTES {
            return Err(Trouble::TooLarge);
        }
        self.0.push_str(text);
        Ok(())
    }

    /// Appends a string as JSON writes it.
    pub(super) fn push_quoted(&mut self, text: &str) -> Result<(), Trouble> {
        if self.0.len() + text.len() > MAX_BYTES {
            return Err(Trouble::TooLarge);
        }
        self.push(&quoted(text))
    }

    /// Appends a value as JSON. A value that is not there, or that JSON cannot hold, is refused
    /// wherever it stands: the serializer would make it `null`.
    pub(super) fn push_value(&mut self, value: &Value) -> Result<(), Trouble> {
        self.push_at(value, 0)
    }

    fn push_at(&mut self, value: &Value, depth: usize) -> Result<(), Trouble> {
        if depth > MAX_DEPTH {
            return Err("the value is nested too deeply".into());
        }
        match value.kind() {
            ValueKind::Undefined => Err(UNDEFINED.into()),
            ValueKind::None => self.push("null"),
            ValueKind::Bool => self.push(if value.is_true() { "true" } else { "false" }),
            ValueKind::Number => self.push(&number(value)?),
            ValueKind::String => self.push_quoted(value.as_str().unwrap_or_default()),
            ValueKind::Seq | ValueKind::Iterable => {
                self.push("[")?;
                for (at, item) in items(value)?.enumerate() {
                    self.push(if at > 0 { "," } else { "" })?;
                    self.push_at(&item, depth + 1)?;
                }
                self.push("]")
            }
            ValueKind::Map => {
                self.push("{")?;
                for (at, key) in items(value)?.enumerate() {
                    self.push(if at > 0 { "," } else { "" })?;
                    match key.kind() {
                        ValueKind::String => self.push_quoted(key.as_str().unwrap_or_default())?,
                        ValueKind::Number | ValueKind::Bool => {
                            self.push_quoted(&key.to_string())?
                        }
                        kind => {
                            return Err(Trouble::Bad(format!("a name of type {kind} is not JSON")));
                        }
                    }
                    self.push(":")?;
                    let member = value
                        .get_item(&key)
                        .map_err(|error| Trouble::Bad(in_words(&error)))?;
                    self.push_at(&member, depth + 1)?;
                }
                self.push("}")
            }
            kind => Err(Trouble::Bad(format!("a value of type {kind} is not JSON"))),
        }
    }

    pub(super) fn len(&self) -> usize {
        self.0.len()
    }

    pub(super) fn since(&self, start: usize) -> &str {
        &self.0[start..]
    }

    pub(super) fn into_string(self) -> String {
        self.0
    }
}

/// Said of a value that is not there.
pub(super) const UNDEFINED: &str = "undefined value: nothing is there";

/// A string as JSON writes it.
pub(super) fn quoted(text: &str) -> String {
    serde_json::Value::from(text).to_string()
}

/// What went wrong, in words for the author of the flow.
pub(super) fn in_words(error: &minijinja::Error) -> String {
    match (error.kind(), error.detail()) {
        (minijinja::ErrorKind::OutOfFuel, _) => "it takes too much work to evaluate".to_owned(),
        (kind, Some(detail)) => format!("{kind}: {}", shortened(detail, 300)),
        (kind, None) => kind.to_string(),
    }
}

/// At most `limit` bytes of a text, and a sign where it was cut.
pub(crate) fn shortened(text: &str, limit: usize) -> String {
    match text
        .char_indices()
        .map(|(at, _)| at)
        .find(|&at| at >= limit)
    {
        Some(end) => format!("{}…", &text[..end]),
        None => text.to_owned(),
    }
}

fn items(value: &Value) -> Result<impl Iterator<Item = Value>, Trouble> {
    value
        .try_iter()
        .map_err(|error| Trouble::Bad(in_words(&error)))
}

fn number(value: &Value) -> Result<String, Trouble> {
    if value.is_integer() {
        return Ok(value.to_string());
    }
    f64::try_from(value.clone())
        .ok()
        .and_then(Number::from_f64)
        .map(|number| number.to_string())
        .ok_or_else(|| "the number is not finite".into())
}
