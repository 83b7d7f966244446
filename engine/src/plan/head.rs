//! The head of a plan: what is this run's own.

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};
use uuid::Uuid;

use crate::Hash;

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
    pub policy: Policy,
}

/// The request as it was when the run was made.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct RequestCopy {
    pub instructions: String,
    pub name: Option<String>,
    /// `request_metadata` merged into one object, later entries winning.
    pub metadata: Map<String, Value>,
}

/// Who must approve.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Policy {
    /// How many approvals it takes.
    pub count: u32,
}
