//! The API's answers, as far as the commands read them. `--json` prints what the server said.

use serde::Deserialize;
use serde_json::Value;

/// A flow.
#[derive(Clone, Debug, Deserialize)]
pub struct Flow {
    pub id: String,
    pub name: String,
    pub version: Option<i64>,
    #[serde(default)]
    pub task_operations: Vec<Value>,
    #[serde(default)]
    pub modified_date: String,
    #[serde(default)]
    pub modified_by_email: Option<String>,
}

/// A kind of task.
#[derive(Clone, Debug, Deserialize)]
pub struct TaskDefinition {
    pub id: String,
    pub python_method_name: String,
    pub belongs_to_integration: Integration,
}

/// An integration.
#[derive(Clone, Debug, Deserialize)]
pub struct Integration {
    pub short_name: String,
}

impl TaskDefinition {
    /// How flow files and people name it: `core.echo`, `commit_digest.read_commits`.
    pub fn full_name(&self) -> String {
        full_name(
            &self.belongs_to_integration.short_name,
            &self.python_method_name,
        )
    }
}

/// A task's name from its integration's and its method's; a built-in's method has both in it.
pub fn full_name(integration: &str, method: &str) -> String {
    match method.strip_prefix(integration) {
        Some(rest) if rest.starts_with('.') => method.to_owned(),
        _ => format!("{integration}.{method}"),
    }
}

/// A request for a flow.
#[derive(Clone, Debug, Deserialize)]
pub struct FlowRequest {
    pub id: String,
}

/// A run.
#[derive(Clone, Debug, Deserialize)]
pub struct Run {
    pub id: String,
    pub flow: String,
    pub flow_request: String,
    pub status: String,
    pub approval_status: Option<String>,
    pub triggered_time: Option<String>,
    pub end_time: Option<String>,
    pub plan_hash: Option<String>,
    /// What the run waits for, while it stands still.
    pub waiting_for: Option<String>,
    /// Why it did not complete.
    pub reason: Option<String>,
    #[serde(default)]
    pub task_runs: Vec<TaskRun>,
    pub flow_result: Option<FlowResult>,
}

impl Run {
    /// Whether it is over.
    pub fn is_final(&self) -> bool {
        matches!(self.status.as_str(), "completed" | "failed" | "cancelled")
    }

    /// Whether it did what was asked.
    pub fn is_completed(&self) -> bool {
        self.status == "completed"
    }
}

/// One operation's execution.
#[derive(Clone, Debug, Deserialize)]
pub struct TaskRun {
    pub id: String,
    pub task_operation_index: u32,
    pub status: String,
    pub start_time: Option<String>,
    pub end_time: Option<String>,
    #[serde(default)]
    pub result: Value,
    pub error: Option<TaskError>,
    pub attempt: Option<u32>,
}

impl TaskRun {
    /// Whether it is over.
    pub fn is_final(&self) -> bool {
        !matches!(self.status.as_str(), "pending" | "in_progress")
    }
}

/// Why a task failed.
#[derive(Clone, Debug, Deserialize)]
pub struct TaskError {
    #[serde(rename = "type")]
    pub kind: String,
    pub message: String,
}

/// What a run gave.
#[derive(Clone, Debug, Deserialize)]
pub struct FlowResult {
    pub body: String,
}

/// A line of the list of runs.
#[derive(Clone, Debug, Deserialize)]
pub struct Preview {
    pub id: String,
    pub flow_name: Option<String>,
    pub flow_request_instructions: Option<String>,
    pub approval_status: Option<String>,
    pub start_time: Option<String>,
    pub status: String,
    pub end_time: Option<String>,
}
