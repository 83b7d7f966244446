//! What is approved and what runs: a *graph*, shared by all runs of a flow version, and a *head* that
//! names the graph's hash and holds what is this run's own. `plan_hash` is the SHA-256 of the head.

mod canonical;
mod diff;
mod graph;
mod head;
mod make;
mod neighbours;
mod renew;

use std::sync::Arc;

pub use canonical::{CanonicalError, canonical};
pub use diff::{Change, Kind, Part, diff};
pub use graph::{Arguments, Declared, Gate, Graph, GraphBody, NamedSource, Operation};
pub use head::{Author, Head, Metadata, RequestCopy};

use serde::de::DeserializeOwned;

use crate::Hash;

/// The plan format this build writes, and the newest it reads.
pub const PLAN_V: u32 = 2;

/// A verified plan: its head, its graph, and the hash an approval names.
#[derive(Clone, Debug, PartialEq)]
pub struct Plan {
    pub hash: Hash,
    pub head: Head,
    pub graph: Arc<Graph>,
}

impl Plan {
    /// Reads a stored head and joins it to its graph, after checking that they are what `expected` names.
    pub fn parse(head: &str, expected: Hash, graph: Arc<Graph>) -> Result<Plan, PlanError> {
        let head = Head::parse(head, expected)?;
        if head.graph != graph.hash() {
            return Err(PlanError::HashMismatch {
                what: "graph",
                expected: head.graph,
            });
        }
        Ok(Plan {
            hash: expected,
            head,
            graph,
        })
    }
}

/// Why stored bytes are not the plan they should be.
#[derive(Debug, thiserror::Error)]
pub enum PlanError {
    #[error("the stored {what} does not have the hash {expected}")]
    HashMismatch { what: &'static str, expected: Hash },
    #[error("the plan is of format {0}, newer than this build reads")]
    Newer(u32),
    #[error("the stored {what} cannot be read: {reason}")]
    Unreadable { what: &'static str, reason: String },
    /// A part has no canonical form: nothing like it can have been stored.
    #[error("the {what} has no canonical form: {source}")]
    NotCanonical {
        what: &'static str,
        source: CanonicalError,
    },
}

/// Reads stored canonical bytes after checking that they are what `expected` names.
fn verified<T: DeserializeOwned>(
    what: &'static str,
    text: &str,
    expected: Hash,
) -> Result<T, PlanError> {
    if Hash::of(text.as_bytes()) != expected {
        return Err(PlanError::HashMismatch { what, expected });
    }
    read(what, text)
}

fn read<T: DeserializeOwned>(what: &'static str, text: &str) -> Result<T, PlanError> {
    serde_json::from_str(text).map_err(|error| PlanError::Unreadable {
        what,
        reason: error.to_string(),
    })
}
