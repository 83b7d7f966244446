//! A flow as a client posts it, decoded but not yet checked.

use serde_json::{Map, Value};

use super::{OnFailure, Retry, TriggerRule};
use crate::binding::shortened;
use crate::ids::TaskDefinitionId;
use crate::plan::Gate;

/// A posted flow. [`super::Flow::check`] makes a [`super::Flow`] of it, or lists every fault.
#[derive(Clone, Debug, Default)]
pub struct FlowSpec {
    pub name: String,
    pub task_operations: Vec<OperationSpec>,
    pub dependencies: Vec<DependencySpec>,
    pub on_failure: OnFailure,
    /// Limit of the whole run, in milliseconds from its approval.
    pub timeout_ms: Option<u64>,
}

impl FlowSpec {
    /// The name of the operation at a place, short enough for a message.
    pub(super) fn shown_name(&self, place: u32) -> String {
        let name = self
            .task_operations
            .get(place as usize)
            .map_or("", |operation| &operation.name);
        shortened(name, 80)
    }
}

/// A posted task operation.
#[derive(Clone, Debug)]
pub struct OperationSpec {
    pub name: String,
    pub task_definition: TaskDefinitionId,
    /// Its number within the flow: what dependencies and task runs name it by.
    pub index: u32,
    pub instruction: Option<String>,
    /// Parameter → value, strings may hold `{{ expression }}`; absent: bound by name.
    pub arguments: Option<Map<String, Value>>,
    /// An expression; false: the task is skipped.
    pub when: Option<String>,
    pub trigger_rule: TriggerRule,
    pub retry: Retry,
    /// Limit of one attempt, in milliseconds.
    pub timeout_ms: Option<u64>,
    /// What must be approved before it starts, laid on the organization's floor already.
    pub approval: Option<Gate>,
}

/// A posted dependency: the target waits for the source.
#[derive(Clone, Debug)]
pub struct DependencySpec {
    pub source_task_operation: u32,
    pub target_task_operation: u32,
    pub instruction: Option<String>,
}
