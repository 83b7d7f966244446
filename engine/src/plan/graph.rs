//! The graph of a plan: shared by all runs of a flow version, content-addressed, and the cache key.

use std::collections::{BTreeMap, HashMap};

use serde::{Deserialize, Serialize};
use serde_json::Value;
use uuid::Uuid;

use super::canonical::write_value;
use super::neighbours::Neighbours;
use super::{CanonicalError, PLAN_V, PlanError, verified};
use crate::Hash;
use crate::approval::Policy;
use crate::binding::{Keys, Step, key_of};
use crate::flow::{EXPRESSION, Kind, OnFailure, Retry, TriggerRule};

/// What errors call it.
const WHAT: &str = "graph";

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

impl GraphBody {
    /// The canonical text, one operation at a time: a large graph is never a tree of values as a whole.
    fn text(&self) -> Result<String, CanonicalError> {
        let GraphBody {
            v,
            operations,
            edges,
            on_failure,
            timeout_ms,
        } = self;
        let mut out = String::from("{\"edges\":");
        write_member(&mut out, edges)?;
        out.push_str(",\"on_failure\":");
        write_member(&mut out, on_failure)?;
        out.push_str(",\"operations\":[");
        for (at, operation) in operations.iter().enumerate() {
            out.push_str(if at > 0 { "," } else { "" });
            // Two levels down: in a list in an object.
            write_value(&mut out, &value_of(operation), 2)?;
        }
        out.push_str("],\"timeout_ms\":");
        write_member(&mut out, timeout_ms)?;
        out.push_str(",\"v\":");
        write_member(&mut out, v)?;
        out.push('}');
        Ok(out)
    }
}

fn write_member(out: &mut String, member: &impl Serialize) -> Result<(), CanonicalError> {
    write_value(out, &value_of(member), 1)
}

/// Numbers, strings, lists and maps with string keys: nothing here that JSON cannot hold.
fn value_of(part: &impl Serialize) -> Value {
    serde_json::to_value(part).unwrap_or_default()
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
    /// What the definition declares, in order of position.
    pub parameters: Vec<Declared>,
    pub arguments: Arguments,
    pub when: Option<String>,
    pub trigger_rule: TriggerRule,
    pub retry: Retry,
    pub timeout_ms: Option<u64>,
    /// What must be approved before the task starts. None in plans of format 1.
    #[serde(default)]
    pub approval: Option<Gate>,
}

/// A gate before a task.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Gate {
    pub policy: Policy,
    /// A JSON Schema of what an approver fills in; the answer is `gates.<key>` to this task and those after it.
    pub input: Option<Value>,
}

impl Operation {
    /// Whether a parameter's value is an expression, evaluated when the task is bound.
    pub(crate) fn takes_expression(&self, parameter: &str) -> bool {
        self.parameters
            .iter()
            .any(|known| known.name == parameter && known.data_type == EXPRESSION)
    }
}

/// A parameter as far as a plan depends on it: what it is called and how it is read. Words about it
/// may change without the plan changing.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Declared {
    pub name: String,
    pub data_type: String,
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
    text: Box<str>,
    upstream: Neighbours,
    downstream: Neighbours,
    positions: HashMap<u32, u32>,
    keys: Keys,
    steps: Vec<Step>,
}

impl Graph {
    /// Writes a body in canonical form and makes ready what that form says.
    pub fn new(body: &GraphBody) -> Result<Graph, PlanError> {
        let text = body
            .text()
            .map_err(|source| PlanError::NotCanonical { what: WHAT, source })?;
        let hash = Hash::of(text.as_bytes());
        Graph::ready(super::read(WHAT, &text)?, hash, text.into())
    }

    /// Reads a stored graph after checking that it is the one named `expected`.
    pub fn parse(text: &str, expected: Hash) -> Result<Graph, PlanError> {
        Graph::ready(verified(WHAT, text, expected)?, expected, text.into())
    }

    fn ready(body: GraphBody, hash: Hash, text: Box<str>) -> Result<Graph, PlanError> {
        if body.v > PLAN_V {
            return Err(PlanError::Newer(body.v));
        }
        let unreadable = |reason: String| PlanError::Unreadable { what: WHAT, reason };
        let len = body.operations.len();
        let mut positions = HashMap::with_capacity(len);
        for (position, operation) in (0u32..).zip(&body.operations) {
            if positions.insert(operation.index, position).is_some() {
                return Err(unreadable(format!(
                    "index {} is used twice",
                    operation.index
                )));
            }
        }
        let mut edges = Vec::with_capacity(body.edges.len());
        for (source, target) in &body.edges {
            match (positions.get(source), positions.get(target)) {
                (Some(&from), Some(&to)) if from < to => edges.push((from, to)),
                _ => {
                    return Err(unreadable(format!(
                        "edge {source} → {target} is out of order"
                    )));
                }
            }
        }
        let keys = Keys::of(body.operations.iter().map(|operation| &*operation.name));
        let mut steps = Vec::with_capacity(len);
        for operation in &body.operations {
            steps.push(Step::new(operation, &keys).map_err(|flaws| {
                let reason = flaws
                    .into_iter()
                    .next()
                    .map(|flaw| flaw.reason)
                    .unwrap_or_default();
                unreadable(format!("operation {}: {reason}", operation.index))
            })?);
        }
        let upstream = Neighbours::new(len, edges.iter().map(|&(from, to)| (to, from)));
        let downstream = Neighbours::new(len, edges.iter().copied());
        Ok(Graph {
            body,
            hash,
            text,
            upstream,
            downstream,
            positions,
            keys,
            steps,
        })
    }

    /// What was hashed, read back.
    pub fn body(&self) -> &GraphBody {
        &self.body
    }

    /// The SHA-256 of the canonical text: the graph's name.
    pub fn hash(&self) -> Hash {
        self.hash
    }

    /// The canonical text: what is stored.
    pub fn canonical_text(&self) -> &str {
        &self.text
    }

    /// Number of operations.
    pub fn len(&self) -> usize {
        self.body.operations.len()
    }

    /// Whether there is nothing to do.
    pub fn is_empty(&self) -> bool {
        self.body.operations.is_empty()
    }

    /// The operation at a position, which is less than [`Graph::len`].
    pub fn operation(&self, position: usize) -> &Operation {
        &self.body.operations[position]
    }

    /// What expressions name the operation at a position, and its gate, by.
    pub fn key(&self, position: usize) -> String {
        key_of(&self.operation(position).name)
    }

    /// Positions of the direct inputs of a position, ascending.
    pub fn upstream(&self, position: usize) -> &[u32] {
        self.upstream.of(position)
    }

    /// Positions that depend directly on a position, ascending.
    pub fn downstream(&self, position: usize) -> &[u32] {
        self.downstream.of(position)
    }

    /// The position of an `index`.
    pub fn position(&self, index: u32) -> Option<usize> {
        self.positions
            .get(&index)
            .map(|&position| position as usize)
    }

    pub(crate) fn keys(&self) -> &Keys {
        &self.keys
    }

    pub(crate) fn step(&self, position: usize) -> &Step {
        &self.steps[position]
    }
}

impl PartialEq for Graph {
    /// Graphs of one text are one graph.
    fn eq(&self, other: &Graph) -> bool {
        self.text == other.text
    }
}
