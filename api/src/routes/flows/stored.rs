//! A flow version as it is stored: the posted flow with generated ids, as the API shows it.

use std::collections::HashMap;

use neena_engine::Micros;
use neena_engine::flow::Flow;
use neena_store::entities::flow::Model;
use serde::{Deserialize, Serialize};
use serde_json::Number;
use serde_json::value::RawValue;
use sha2::{Digest, Sha256};
use utoipa::ToSchema;
use uuid::Uuid;

use super::body::{Dependency, NewFlow, OnFailure, Operation};
use crate::error::ApiError;
use crate::policies::Approval;
use crate::view::Time;

/// A flow.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = Flow)]
pub(crate) struct FlowView {
    name: String,
    #[schema(value_type = Vec<OperationView>)]
    task_operations: Box<RawValue>,
    #[schema(value_type = Vec<DependencyView>)]
    dependencies: Box<RawValue>,
    on_failure: Option<OnFailure>,
    #[schema(value_type = Option<f64>)]
    timeout_seconds: Option<Number>,
    #[schema(value_type = Option<Approval>)]
    approval: Option<Box<RawValue>>,
    id: Uuid,
    /// Grows with each edit; runs keep the version they were made from.
    version: i32,
    created_date: Time,
    modified_date: Time,
    created_by_email: String,
    modified_by_email: String,
}

/// A task of a flow, as stored.
#[derive(Serialize, ToSchema)]
pub(crate) struct OperationView<'a> {
    #[serde(flatten)]
    posted: &'a Operation,
    id: Uuid,
    flow: Uuid,
    /// Its place in topological order, ties by `index`.
    sorted_index: usize,
    #[serde(flatten)]
    audit: &'a Audit,
}

/// A dependency, as stored.
#[derive(Serialize, ToSchema)]
pub(crate) struct DependencyView<'a> {
    #[serde(flatten)]
    posted: &'a Dependency,
    id: Uuid,
    flow: Uuid,
    #[serde(flatten)]
    audit: &'a Audit,
}

/// Who made and changed a part of a flow, and when.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, ToSchema)]
pub(super) struct Audit {
    #[schema(format = DateTime)]
    created_date: String,
    #[schema(format = DateTime)]
    modified_date: String,
    created_by_email: String,
    modified_by_email: String,
}

/// The parts of a stored version whose making is kept when it is edited.
#[derive(Debug, Default, Deserialize)]
pub(super) struct Earlier {
    task_operations: Vec<Made>,
    dependencies: Vec<Made>,
}

#[derive(Debug, Deserialize)]
struct Made {
    id: Uuid,
    created_date: String,
    created_by_email: String,
}

#[derive(Serialize)]
struct Version<'a> {
    name: &'a str,
    task_operations: Vec<OperationView<'a>>,
    dependencies: Vec<DependencyView<'a>>,
    on_failure: Option<OnFailure>,
    timeout_seconds: Option<&'a Number>,
    approval: Option<&'a Approval>,
}

#[derive(Deserialize)]
struct Parts {
    task_operations: Box<RawValue>,
    dependencies: Box<RawValue>,
    on_failure: Option<OnFailure>,
    timeout_seconds: Option<Number>,
    approval: Option<Box<RawValue>>,
}

/// The text of a version. `flow` is what the check made of `posted`; `earlier` is what it replaces.
pub(super) fn text(
    id: Uuid,
    posted: &NewFlow,
    flow: &Flow,
    by: &str,
    now: Micros,
    earlier: Earlier,
) -> String {
    let places: HashMap<u32, usize> = flow
        .body()
        .operations
        .iter()
        .enumerate()
        .map(|(at, op)| (op.index, at))
        .collect();
    let made = |index: &u32| part_id(id, "operation", &[*index]);
    let linked = |ends: &[u32; 2]| part_id(id, "dependency", ends);
    let audits = Audits::new(by, now, earlier);
    let operations: Vec<(Uuid, Audit)> = posted
        .task_operations
        .iter()
        .map(|operation| audits.of(made(&operation.index)))
        .collect();
    let dependencies: Vec<(Uuid, Audit)> = posted
        .dependencies
        .iter()
        .map(|edge| audits.of(linked(&edge.ends())))
        .collect();
    let version = Version {
        name: &posted.name,
        task_operations: posted
            .task_operations
            .iter()
            .zip(&operations)
            .map(|(posted, (part, audit))| OperationView {
                sorted_index: places.get(&posted.index).copied().unwrap_or_default(),
                posted,
                id: *part,
                flow: id,
                audit,
            })
            .collect(),
        dependencies: posted
            .dependencies
            .iter()
            .zip(&dependencies)
            .map(|(posted, (part, audit))| DependencyView {
                posted,
                id: *part,
                flow: id,
                audit,
            })
            .collect(),
        on_failure: posted.on_failure,
        timeout_seconds: posted.timeout_seconds.as_ref(),
        approval: posted.approval.as_ref(),
    };
    serde_json::to_string(&version).expect("a flow is JSON")
}

/// A stored version as the API shows it.
pub(super) fn view(flow: Model, body: &str) -> Result<FlowView, ApiError> {
    let parts: Parts = read(body)?;
    Ok(FlowView {
        name: flow.name,
        task_operations: parts.task_operations,
        dependencies: parts.dependencies,
        on_failure: parts.on_failure,
        timeout_seconds: parts.timeout_seconds,
        approval: parts.approval,
        id: flow.id,
        version: flow.version,
        created_date: Time::of(flow.created_at),
        modified_date: Time::of(flow.modified_at),
        created_by_email: flow.created_by_email,
        modified_by_email: flow.modified_by_email,
    })
}

/// Reads a stored version as the type asked for.
pub(crate) fn read<T: serde::de::DeserializeOwned>(body: &str) -> Result<T, ApiError> {
    serde_json::from_str(body)
        .map_err(|error| ApiError::Internal(format!("a stored flow cannot be read: {error}")))
}

/// Ids of a flow's parts are derived from what names them, so an edit keeps them.
fn part_id(flow: Uuid, kind: &str, indices: &[u32]) -> Uuid {
    let mut hasher = Sha256::new();
    hasher.update(flow.as_bytes());
    hasher.update(kind.as_bytes());
    for index in indices {
        hasher.update(index.to_be_bytes());
    }
    let digest: [u8; 32] = hasher.finalize().into();
    let mut bytes = [0; 16];
    bytes.copy_from_slice(&digest[..16]);
    Uuid::new_v8(bytes)
}

/// Who made the parts, as far as an earlier version knew them.
struct Audits {
    now: Audit,
    made: HashMap<Uuid, Made>,
}

impl Audits {
    fn new(by: &str, now: Micros, earlier: Earlier) -> Audits {
        let parts = earlier
            .task_operations
            .into_iter()
            .chain(earlier.dependencies);
        Audits {
            now: Audit {
                created_date: now.to_string(),
                modified_date: now.to_string(),
                created_by_email: by.to_owned(),
                modified_by_email: by.to_owned(),
            },
            made: parts.map(|part| (part.id, part)).collect(),
        }
    }

    fn of(&self, part: Uuid) -> (Uuid, Audit) {
        let mut audit = self.now.clone();
        if let Some(made) = self.made.get(&part) {
            audit.created_date.clone_from(&made.created_date);
            audit.created_by_email.clone_from(&made.created_by_email);
        }
        (part, audit)
    }
}
