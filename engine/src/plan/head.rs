//! The head of a plan: what is this run's own.

use std::fmt;
use std::ops::Deref;
use std::sync::{Arc, OnceLock};

use serde::{Deserialize, Deserializer, Serialize, Serializer};
use serde_json::{Map, Value};
use uuid::Uuid;

use super::{CanonicalError, PLAN_V, PlanError, canonical, verified};
use crate::Hash;
use crate::approval::{Origin, Party, Policy, stored_policy};

/// What is hashed to the `plan_hash`. The worker reads a run's inputs from here only.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Head {
    pub v: u32,
    pub organization: Uuid,
    pub flow: Uuid,
    pub flow_name: String,
    pub flow_version: u32,
    pub graph: Hash,
    pub request: RequestCopy,
    /// E-mail of the requester.
    pub triggered_by: String,
    /// The requester. None in plans of format 1.
    #[serde(default)]
    pub requester: Option<Uuid>,
    /// Who wrote this version of the flow. None in plans of format 1.
    #[serde(default)]
    pub author: Option<Author>,
    #[serde(deserialize_with = "stored_policy")]
    pub policy: Policy,
}

/// Who wrote a version of a flow.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Author {
    /// None where it was not noted.
    pub user: Option<Uuid>,
    pub email: String,
}

impl Head {
    /// The canonical text: what is hashed and stored.
    pub fn text(&self) -> Result<String, CanonicalError> {
        // Strings, numbers and maps with string keys: nothing here that JSON cannot hold.
        canonical(&serde_json::to_value(self).unwrap_or_default())
    }

    /// Where the plan comes from, as far as it matters to who may approve it.
    pub fn origin(&self) -> Origin {
        Origin {
            requester: Party {
                user: self.requester.map(Into::into),
                email: self.triggered_by.clone(),
            },
            author: self.author.as_ref().map(|author| Party {
                user: author.user.map(Into::into),
                email: author.email.clone(),
            }),
        }
    }

    /// Reads a stored head after checking that it is the one named `expected`.
    pub fn parse(text: &str, expected: Hash) -> Result<Head, PlanError> {
        let head: Head = verified("head", text, expected)?;
        if head.v > PLAN_V {
            Err(PlanError::Newer(head.v))
        } else {
            Ok(head)
        }
    }
}

/// The request as it was when the run was made.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct RequestCopy {
    pub instructions: String,
    pub name: Option<String>,
    /// `request_metadata` merged into one object, later entries winning.
    pub metadata: Metadata,
}

/// The merged metadata of a request: a JSON object, made a value for expressions at most once.
#[derive(Clone, Default)]
pub struct Metadata {
    members: Arc<Map<String, Value>>,
    value: Arc<OnceLock<(minijinja::Value, usize)>>,
}

impl Metadata {
    /// The object as a value for expressions; converted at the first call.
    pub(crate) fn value(&self) -> &minijinja::Value {
        &self.converted().0
    }

    /// Its size, in bytes of JSON.
    pub(crate) fn size(&self) -> usize {
        self.converted().1
    }

    fn converted(&self) -> &(minijinja::Value, usize) {
        self.value.get_or_init(|| {
            let size = serde_json::to_string(&*self.members).map_or(0, |text| text.len());
            (minijinja::value::Serde(&*self.members).into(), size)
        })
    }
}

impl From<Map<String, Value>> for Metadata {
    fn from(members: Map<String, Value>) -> Metadata {
        Metadata {
            members: Arc::new(members),
            value: Arc::default(),
        }
    }
}

impl Deref for Metadata {
    type Target = Map<String, Value>;

    fn deref(&self) -> &Map<String, Value> {
        &self.members
    }
}

impl PartialEq for Metadata {
    fn eq(&self, other: &Metadata) -> bool {
        self.members == other.members
    }
}

impl fmt::Debug for Metadata {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.members.fmt(f)
    }
}

impl Serialize for Metadata {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        self.members.serialize(serializer)
    }
}

impl<'de> Deserialize<'de> for Metadata {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Metadata, D::Error> {
        Map::deserialize(deserializer).map(Metadata::from)
    }
}
