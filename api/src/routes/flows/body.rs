//! A flow as clients post it.

use neena_engine::flow::{self, DependencySpec, FlowSpec, OperationSpec, Retry};
use neena_engine::ids::TaskDefinitionId;
use neena_engine::plan::Gate;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Number, Value};
use utoipa::ToSchema;
use uuid::Uuid;

use super::later::later_fields;
use crate::extract::payload;
use crate::policies::Approval;

/// Most bytes of a posted flow.
const LIMIT: usize = 8 << 20;

/// A new flow.
#[derive(Debug, Deserialize, Serialize, ToSchema)]
pub(crate) struct NewFlow {
    #[schema(min_length = 1, max_length = 256, pattern = r"^[^\x00]*$")]
    pub(super) name: String,
    /// The tasks, at most 10,000.
    pub(super) task_operations: Vec<Operation>,
    /// Which task waits for which, at most 100,000.
    pub(super) dependencies: Vec<Dependency>,
    /// What a failed task means for the rest: `stop` (default) or `continue`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) on_failure: Option<OnFailure>,
    /// Limit of the whole run, from its approval.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<f64>, exclusive_minimum = 0, maximum = 31536000)]
    pub(super) timeout_seconds: Option<Number>,
    /// Who must approve a run; without it as the organization has it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) approval: Option<Approval>,
}

/// A flow's new version.
#[derive(Debug, Deserialize, ToSchema)]
pub(crate) struct FlowUpdate {
    pub(super) id: Uuid,
    #[serde(flatten)]
    pub(super) flow: NewFlow,
}

/// A task of a flow.
#[derive(Debug, Deserialize, Serialize, ToSchema)]
#[schema(as = TaskOperation)]
pub(crate) struct Operation {
    #[schema(min_length = 1, max_length = 256, pattern = r"^[^\x00]*$")]
    name: String,
    task_definition: Uuid,
    /// Its number, unique within the flow: what dependencies and task runs name it by.
    #[schema(minimum = 0, maximum = 2147483647)]
    pub(super) index: u32,
    #[schema(max_length = 512)]
    instruction: Option<String>,
    /// Position on the canvas.
    #[schema(value_type = Option<f64>)]
    x: Option<Number>,
    /// Position on the canvas.
    #[schema(value_type = Option<f64>)]
    y: Option<Number>,
    /// Parameter to value; strings may hold `{{ expression }}`. Without it parameters are bound by name.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<Object>)]
    arguments: Option<Map<String, Value>>,
    /// An expression; where it is false the task is skipped.
    #[serde(skip_serializing_if = "Option::is_none")]
    when: Option<String>,
    /// Which ends of the tasks before it let it start.
    #[serde(skip_serializing_if = "Option::is_none")]
    trigger_rule: Option<TriggerRule>,
    /// Without it there is one attempt.
    #[serde(skip_serializing_if = "Option::is_none")]
    retry: Option<RetryPolicy>,
    /// Limit of one attempt.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<f64>, exclusive_minimum = 0, maximum = 31536000)]
    timeout_seconds: Option<Number>,
    /// Who must approve before it starts, when its turn has come; without it nobody is asked.
    #[serde(skip_serializing_if = "Option::is_none")]
    approval: Option<Approval>,
}

/// The target waits for the source.
#[derive(Debug, Deserialize, Serialize, ToSchema)]
#[schema(as = TaskDependency)]
pub(crate) struct Dependency {
    /// An `index` of this flow.
    #[schema(minimum = 0, maximum = 2147483647)]
    source_task_operation: u32,
    /// An `index` of this flow.
    #[schema(minimum = 0, maximum = 2147483647)]
    target_task_operation: u32,
    #[schema(max_length = 512)]
    instruction: Option<String>,
}

/// When a failed attempt is tried again.
#[derive(Debug, Deserialize, Serialize, ToSchema)]
pub(crate) struct RetryPolicy {
    /// Attempts in all; 3 unless given.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(minimum = 1, maximum = 100)]
    max_attempts: Option<u32>,
    /// Before the second attempt; 2 unless given.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<f64>, minimum = 0, maximum = 31536000)]
    delay_seconds: Option<Number>,
    /// How the delay grows: `exponential` unless given.
    #[serde(skip_serializing_if = "Option::is_none")]
    backoff: Option<Backoff>,
    /// The delay never grows past this; 300 unless given.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<f64>, minimum = 0, maximum = 31536000)]
    max_delay_seconds: Option<Number>,
}

macro_rules! words {
    ($($(#[$doc:meta])* $name:ident: $engine:path { $($variant:ident),* })*) => {$(
        $(#[$doc])*
        #[derive(Clone, Copy, Debug, Deserialize, Serialize, ToSchema)]
        #[serde(rename_all = "snake_case")]
        pub(crate) enum $name { $($variant),* }

        impl From<$name> for $engine {
            fn from(word: $name) -> $engine {
                match word { $($name::$variant => <$engine>::$variant),* }
            }
        }
    )*};
}

words! {
    /// What a failed task means for the rest of the run.
    OnFailure: flow::OnFailure { Stop, Continue }
    /// Which ends of the tasks before a task let it start; all of them must have ended.
    TriggerRule: flow::TriggerRule { AllSuccess, AllDone, AnySuccess, NoneFailed }
    /// How the delay between attempts grows.
    Backoff: flow::Backoff { Constant, Exponential }
}

payload!(NewFlow, LIMIT, later_fields);
payload!(FlowUpdate, LIMIT, later_fields);

impl NewFlow {
    /// The task definitions it names.
    pub(crate) fn definitions(&self) -> impl Iterator<Item = TaskDefinitionId> {
        self.task_operations
            .iter()
            .map(|operation| TaskDefinitionId(operation.task_definition))
    }

    /// How much work checking it is.
    pub(crate) fn size(&self) -> usize {
        self.task_operations.len() + self.dependencies.len()
    }

    /// What it says about approval as a whole.
    pub(crate) fn approval(&self) -> Option<&Approval> {
        self.approval.as_ref()
    }

    /// The index of each operation, in order, with its gate.
    pub(crate) fn gates(&self) -> impl Iterator<Item = (u32, Option<&Approval>)> {
        self.task_operations
            .iter()
            .map(|operation| (operation.index, operation.approval.as_ref()))
    }

    /// The flow as the engine checks it, with the gates of its operations in order.
    pub(crate) fn spec(&self, gates: Vec<Option<Gate>>) -> FlowSpec {
        let gates = gates.into_iter().chain(std::iter::repeat(None));
        FlowSpec {
            name: self.name.clone(),
            task_operations: self
                .task_operations
                .iter()
                .zip(gates)
                .map(|(operation, gate)| operation.spec(gate))
                .collect(),
            dependencies: self.dependencies.iter().map(Dependency::spec).collect(),
            on_failure: self.on_failure.map(Into::into).unwrap_or_default(),
            timeout_ms: self.timeout_seconds.as_ref().map(millis),
        }
    }
}

impl Operation {
    fn spec(&self, gate: Option<Gate>) -> OperationSpec {
        OperationSpec {
            name: self.name.clone(),
            task_definition: TaskDefinitionId(self.task_definition),
            index: self.index,
            instruction: self.instruction.clone(),
            arguments: self.arguments.clone(),
            when: self.when.clone(),
            trigger_rule: self.trigger_rule.map(Into::into).unwrap_or_default(),
            retry: self.retry.as_ref().map_or(Retry::NONE, RetryPolicy::spec),
            timeout_ms: self.timeout_seconds.as_ref().map(millis),
            approval: gate,
        }
    }
}

impl Dependency {
    /// The indices it joins.
    pub(super) fn ends(&self) -> [u32; 2] {
        [self.source_task_operation, self.target_task_operation]
    }

    fn spec(&self) -> DependencySpec {
        DependencySpec {
            source_task_operation: self.source_task_operation,
            target_task_operation: self.target_task_operation,
            instruction: self.instruction.clone(),
        }
    }
}

impl RetryPolicy {
    fn spec(&self) -> Retry {
        Retry {
            max_attempts: self.max_attempts.unwrap_or(3),
            delay_ms: self.delay_seconds.as_ref().map_or(2_000, whole_millis),
            backoff: self.backoff.map(Into::into).unwrap_or_default(),
            max_delay_ms: self
                .max_delay_seconds
                .as_ref()
                .map_or(300_000, whole_millis),
        }
    }
}

/// Seconds as milliseconds, at least one: a limit is never rounded away.
fn millis(seconds: &Number) -> u64 {
    whole_millis(seconds).max(1)
}

/// Seconds as milliseconds. The schema keeps them between zero and a year.
fn whole_millis(seconds: &Number) -> u64 {
    (seconds.as_f64().unwrap_or_default() * 1_000.0).round() as u64
}
