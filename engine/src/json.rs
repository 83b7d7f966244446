//! A JSON document that is carried as text and parsed at most once, when an expression looks at it.

use std::fmt;
use std::sync::{Arc, OnceLock};

use minijinja::Value;
use serde::{Deserialize, Deserializer, Serialize, Serializer};

/// A JSON document: its text, shared, and its value once somebody asked. Cheap to clone.
#[derive(Clone)]
pub struct Json(Arc<Document>);

struct Document {
    text: Box<str>,
    value: OnceLock<Value>,
}

/// A text that is not JSON.
#[derive(Debug, thiserror::Error)]
#[error("not valid JSON: {0}")]
pub struct NotJson(#[from] serde_json::Error);

impl Json {
    /// Takes a text after checking that it is one JSON document.
    pub fn parse(text: String) -> Result<Json, NotJson> {
        serde_json::from_str::<&serde_json::value::RawValue>(&text)?;
        Ok(Json::trusted(text))
    }

    /// Takes a text that is known to be JSON: written by us, or read back from the store.
    pub fn trusted(text: impl Into<Box<str>>) -> Json {
        Json(Arc::new(Document {
            text: text.into(),
            value: OnceLock::new(),
        }))
    }

    /// The JSON of any serializable value; `null` for one that JSON cannot hold.
    pub fn of(value: &impl Serialize) -> Json {
        Json::trusted(serde_json::to_string(value).unwrap_or_else(|_| "null".to_owned()))
    }

    /// `null`.
    pub fn null() -> Json {
        Json::trusted("null")
    }

    /// The document's text.
    pub fn text(&self) -> &str {
        &self.0.text
    }

    /// The document as a value for expressions; parsed at the first call.
    pub fn value(&self) -> &Value {
        self.0
            .value
            .get_or_init(|| serde_json::from_str::<Value>(self.text()).unwrap_or_default())
    }
}

impl fmt::Debug for Json {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.text())
    }
}

impl PartialEq for Json {
    fn eq(&self, other: &Json) -> bool {
        self.text() == other.text()
    }
}

impl Serialize for Json {
    /// Passes the text through unparsed; meant for `serde_json`.
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let raw: &serde_json::value::RawValue =
            serde_json::from_str(self.text()).map_err(serde::ser::Error::custom)?;
        raw.serialize(serializer)
    }
}

impl<'de> Deserialize<'de> for Json {
    /// Keeps the text as it is; for `serde_json`, and not within flattened or tagged types.
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Json, D::Error> {
        let raw = Box::<serde_json::value::RawValue>::deserialize(deserializer)?;
        Ok(Json::trusted(Box::<str>::from(raw)))
    }
}
