//! The graph of a plan: shared by all runs of a flow version, content-addressed, and the cache key.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use serde_json::Value;
use uuid::Uuid;

use crate::Hash;
use crate::flow::{Kind, OnFailure, Parameter, Retry, TriggerRule};

/// What is hashed and stored, every default written out. Operations stand in topological order
/// (ties by `index`): an operation's place here is its `sorted_index`, and its *position* everywhere
/// in the engine.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct GraphBody {
    pub v: u32,
    pub operations: Vec<Operation>,
    /// Source and target `index` of each dependency, sorted.
    pub edges: Vec<(u32, u32)>,
    pub on_failure: OnFailure,
    pub timeout_ms: Option<u64>,
}

/// A task operation with the definition it was planned with.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Operation {
    pub index: u32,
    pub name: String,
    pub instruction: Option<String>,
    pub definition: Uuid,
    pub integration: String,
    pub kind: Kind,
    pub method: String,
    pub code_digest: String,
    pub pure: bool,
    pub repeatable: bool,
    pub parameters: Vec<Parameter>,
    pub arguments: Arguments,
    pub when: Option<String>,
    pub trigger_rule: TriggerRule,
    pub retry: Retry,
    pub timeout_ms: Option<u64>,
}

/// Where an operation's arguments come from.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Arguments {
    /// As written in the flow.
    Given(BTreeMap<String, Value>),
    /// Bound by name: one entry per declared parameter, in order of position.
    ByName(Vec<NamedSource>),
}

/// Where a parameter bound by name may come from: the request's metadata first, then this.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct NamedSource {
    pub parameter: String,
    /// `index` of the nearest upstream operation that declares an output parameter of that name.
    pub upstream: Option<u32>,
    /// Whether that output is the operation's whole result rather than a field of it.
    pub whole: bool,
    pub optional: bool,
}

/// A graph made ready to run: adjacency by position, expressions compiled.
#[derive(Debug)]
pub struct Graph {
    body: GraphBody,
    hash: Hash,
    // The rest is for whoever fills this in: adjacency in both directions, position by index, keys by name, compiled arguments and `when`.
}

impl Graph {
    pub fn body(&self) -> &GraphBody { &self.body }
    pub fn hash(&self) -> Hash { self.hash }
    /// Number of operations.
    pub fn len(&self) -> usize { self.body.operations.len() }
    /// The operation at a position.
    pub fn operation(&self, position: usize) -> &Operation { &self.body.operations[position] }
    /// Positions of the direct inputs of a position.
    pub fn upstream(&self, _position: usize) -> &[u32] { todo!() }
    /// Positions that depend directly on a position.
    pub fn downstream(&self, _position: usize) -> &[u32] { todo!() }
    /// The position of an `index`.
    pub fn position(&self, _index: u32) -> Option<usize> { todo!() }
}
