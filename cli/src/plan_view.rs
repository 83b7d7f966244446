//! The plan a run holds, as the server read it from what was stored: what an approver is shown before
//! the approval is sent.

mod gate;
mod lines;

use std::collections::BTreeMap;
use std::fmt;

use serde::Deserialize;
use serde_json::{Map, Value};

use crate::client::{Client, ClientError, read};
use crate::table::short;
use crate::view::full_name;
use gate::Ask;
pub use gate::Gate;
use lines::Lines;

/// A plan, and the answer it was read from.
#[derive(Clone, Debug)]
pub struct PlanView {
    pub plan: Plan,
    pub answer: Value,
}

/// A plan.
#[derive(Clone, Debug, Deserialize)]
pub struct Plan {
    pub flow_run: String,
    pub plan_hash: String,
    pub flow_name: String,
    pub flow_version: u32,
    pub triggered_by: String,
    pub request: Request,
    pub policy: Policy,
    /// In the order of the plan.
    pub operations: Vec<Operation>,
    pub dependencies: Vec<Dependency>,
    pub on_failure: String,
    pub timeout_seconds: Option<f64>,
    /// What was asked about it so far: the plan itself, and the gates that were reached.
    #[serde(default)]
    asks: Vec<Ask>,
}

/// The request as the plan holds it.
#[derive(Clone, Debug, Deserialize)]
pub struct Request {
    pub instructions: String,
    pub name: Option<String>,
    pub metadata: Map<String, Value>,
}

/// Who must approve.
#[derive(Clone, Debug, Deserialize)]
pub struct Policy {
    pub count: u32,
    #[serde(default)]
    pub mode: String,
    #[serde(default)]
    pub stages: Vec<Stage>,
    pub expires_in_seconds: Option<f64>,
    #[serde(default)]
    pub on_expiry: String,
}

/// A number of approvals by some people.
#[derive(Clone, Debug, Deserialize)]
pub struct Stage {
    pub name: String,
    pub count: u32,
    #[serde(default)]
    pub approvers: Vec<String>,
}

/// A task of the plan.
#[derive(Clone, Debug, Deserialize)]
pub struct Operation {
    pub index: u32,
    pub name: String,
    pub instruction: Option<String>,
    pub integration: String,
    pub method: String,
    pub code_digest: String,
    pub arguments: Arguments,
    pub when: Option<String>,
    pub trigger_rule: String,
    pub retry: Retry,
    pub timeout_seconds: Option<f64>,
    /// The gate before it, as the API has it.
    pub approval: Option<Value>,
}

/// What a task is given.
#[derive(Clone, Debug, Deserialize)]
#[serde(untagged)]
pub enum Arguments {
    Written(BTreeMap<String, Value>),
    Named(Vec<Source>),
}

/// Where the value of a parameter comes from.
#[derive(Clone, Debug, Deserialize)]
pub struct Source {
    pub parameter: String,
    pub source: Option<String>,
    pub task_operation: Option<u32>,
    pub output: Option<String>,
}

/// When a task that failed is tried again.
#[derive(Clone, Debug, Deserialize)]
pub struct Retry {
    pub max_attempts: u32,
    pub delay_seconds: f64,
    pub backoff: String,
    pub max_delay_seconds: f64,
}

/// The target waits for the source.
#[derive(Clone, Debug, Deserialize)]
pub struct Dependency {
    pub source_task_operation: u32,
    pub target_task_operation: u32,
}

/// An operation of the plan as it is called where a run is followed.
#[derive(Clone, Debug, PartialEq)]
pub struct Step {
    pub index: u32,
    pub name: String,
    pub task: String,
}

/// Characters shown of a name.
const NAME: usize = 256;

impl PlanView {
    /// The plan the run holds.
    pub async fn load(client: &Client, run: &str) -> Result<PlanView, ClientError> {
        let answer = client
            .get("flow_runs/plan", &[("flow_run_id", run)])
            .await?;
        Ok(PlanView {
            plan: read(&answer)?,
            answer,
        })
    }

    /// Its operations, in order.
    pub fn steps(&self) -> Vec<Step> {
        let step = |operation: &Operation| Step {
            index: operation.index,
            name: short(&operation.name, NAME),
            task: operation.task(),
        };
        self.plan.operations.iter().map(step).collect()
    }

    /// Its gates, in order.
    pub fn gates(&self) -> Vec<Gate> {
        Gate::all(&self.plan)
    }
}

impl Operation {
    /// What is called, by its full name.
    fn task(&self) -> String {
        short(&full_name(&self.integration, &self.method), NAME)
    }
}

impl fmt::Display for PlanView {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&Lines::of(&self.plan).text())
    }
}

#[cfg(test)]
#[path = "plan_view/tests.rs"]
mod tests;
