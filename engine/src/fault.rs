//! A fault in something a client sent, with the place it stands at.

use serde::{Serialize, Serializer};

/// One step of a location in a JSON document.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Loc {
    /// A field of an object.
    Field(String),
    /// A place in an array.
    Index(usize),
}

impl Serialize for Loc {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match self {
            Loc::Field(name) => serializer.serialize_str(name),
            Loc::Index(at) => serializer.serialize_u64(*at as u64),
        }
    }
}

impl From<&str> for Loc {
    fn from(name: &str) -> Self {
        Loc::Field(name.to_owned())
    }
}

impl From<String> for Loc {
    fn from(name: String) -> Self {
        Loc::Field(name)
    }
}

impl From<usize> for Loc {
    fn from(at: usize) -> Self {
        Loc::Index(at)
    }
}

/// One thing wrong with a document: where, what, and a stable type for programs.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Fault {
    /// The way to it, from the document's root (`task_operations`, `0`, `arguments`, `path`).
    pub loc: Vec<Loc>,
    /// What is wrong and, where it helps, what would be right.
    pub msg: String,
    /// A stable word for it: `missing`, `cycle`, `unknown_argument`, …
    #[serde(rename = "type")]
    pub kind: &'static str,
}

impl Fault {
    /// A fault at `loc`.
    pub fn new(loc: Vec<Loc>, kind: &'static str, msg: impl Into<String>) -> Fault {
        Fault {
            loc,
            msg: msg.into(),
            kind,
        }
    }
}

/// Builds a location: `loc!["task_operations", at, "name"]`.
#[macro_export]
macro_rules! loc {
    ($($step:expr),* $(,)?) => { vec![$($crate::Loc::from($step)),*] };
}
