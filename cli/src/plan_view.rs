//! The plan of a run, briefly: what an approver is shown before the approval is sent.

use std::fmt;

use serde_json::Value;

use crate::client::{Client, read};
use crate::names::Tasks;
use crate::table::{self, short};
use crate::view::{Flow, FlowRequest, Run};

/// A plan as it is shown.
#[derive(Clone, Debug, PartialEq)]
pub struct PlanView {
    pub run: String,
    pub flow: String,
    pub version: Option<i64>,
    pub instructions: String,
    pub name: Option<String>,
    /// The request's metadata, merged.
    pub metadata: Value,
    pub triggered_by: Option<String>,
    pub hash: Option<String>,
    /// In the order of the plan.
    pub steps: Vec<Step>,
    /// What changed since the plan was made, so that it is shown as it is now, not as it is in the plan.
    pub changed: Vec<&'static str>,
}

/// An operation of the plan.
#[derive(Clone, Debug, PartialEq)]
pub struct Step {
    pub index: u32,
    pub name: String,
    pub task: String,
}

/// Steps shown of a plan; longer ones are cut, and say so.
const SHOWN: usize = 40;
/// Characters shown of a text; what people wrote is printed in one line, without control characters.
const WIDE: usize = 600;

impl PlanView {
    /// What is to be known of the run's plan.
    pub async fn load(client: &Client, run: &Run) -> anyhow::Result<PlanView> {
        let flow: Flow = read(&client.get("flows/", &[("id", &run.flow)]).await?)?;
        let request: FlowRequest = read(
            &client
                .get("flow_requests/", &[("id", &run.flow_request)])
                .await?,
        )?;
        let tasks = Tasks::load(client).await?;
        Ok(PlanView::of(run, &flow, &request, &tasks))
    }

    /// What is left to show when the run's flow or request is deleted.
    pub fn unknown(run: &Run) -> PlanView {
        PlanView {
            run: run.id.clone(),
            flow: run.flow.clone(),
            version: run.flow_version,
            instructions: String::new(),
            name: None,
            metadata: Value::Null,
            triggered_by: run.triggered_by.clone(),
            hash: run.plan_hash.clone(),
            steps: Vec::new(),
            changed: Vec::new(),
        }
    }

    /// The plan of these parts.
    pub fn of(run: &Run, flow: &Flow, request: &FlowRequest, tasks: &Tasks) -> PlanView {
        let mut operations: Vec<_> = flow.task_operations.iter().collect();
        operations.sort_by_key(|operation| (operation.sorted_index, operation.index));
        let step = |operation: &&crate::view::Operation| Step {
            index: operation.index,
            name: short(&operation.name, WIDE),
            task: tasks.name(&operation.task_definition).to_owned(),
        };
        PlanView {
            run: run.id.clone(),
            flow: flow.name.clone(),
            version: run.flow_version.or(flow.version),
            instructions: request.request_instructions.clone(),
            name: request.request_name.clone(),
            metadata: merged(request.request_metadata.as_ref()),
            triggered_by: run.triggered_by.clone(),
            hash: run.plan_hash.clone(),
            steps: operations.iter().map(step).collect(),
            changed: changed(run, flow, request),
        }
    }
}

/// Which parts were edited after the run was made. The run keeps its plan either way.
fn changed(run: &Run, flow: &Flow, request: &FlowRequest) -> Vec<&'static str> {
    let mut changed = Vec::new();
    if run.flow_version.is_some() && run.flow_version != flow.version {
        changed.push("flow");
    }
    if let (Some(made), Some(modified)) = (run.made_at(), table::parsed(&request.modified_date))
        && modified > made
    {
        changed.push("request");
    }
    changed
}

impl fmt::Display for PlanView {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let version = self
            .version
            .map(|version| format!(" (version {version})"))
            .unwrap_or_default();
        writeln!(f, "Plan of run {}", self.run)?;
        writeln!(f, "  flow      {}{version}", short(&self.flow, WIDE))?;
        let name = self
            .name
            .as_ref()
            .map(|name| format!("{name}: "))
            .unwrap_or_default();
        writeln!(
            f,
            "  request   {}",
            short(&format!("{name}{}", self.instructions), WIDE)
        )?;
        for (at, (key, value)) in self.metadata.as_object().into_iter().flatten().enumerate() {
            let label = if at == 0 { "metadata" } else { "" };
            writeln!(
                f,
                "  {label:<8}  {}",
                short(&format!("{key} = {value}"), WIDE)
            )?;
        }
        if let Some(by) = &self.triggered_by {
            writeln!(f, "  asked by  {}", short(by, WIDE))?;
        }
        let width = self
            .steps
            .iter()
            .take(SHOWN)
            .map(|step| step.name.chars().count())
            .max()
            .unwrap_or(0);
        for (at, step) in self.steps.iter().take(SHOWN).enumerate() {
            let label = if at == 0 { "tasks" } else { "" };
            writeln!(
                f,
                "  {label:<8}  {}. {:<width$}  {}",
                at + 1,
                step.name,
                step.task
            )?;
        }
        if self.steps.len() > SHOWN {
            writeln!(f, "            … and {} more", self.steps.len() - SHOWN)?;
        }
        write!(
            f,
            "  hash      {}",
            self.hash.as_deref().unwrap_or("not told by the server")
        )
    }
}

/// A request's metadata as one object, later entries winning.
fn merged(metadata: Option<&Value>) -> Value {
    let entries = metadata.and_then(Value::as_array).into_iter().flatten();
    let fields = entries.filter_map(Value::as_object).flatten();
    Value::Object(
        fields
            .map(|(key, value)| (key.clone(), value.clone()))
            .collect(),
    )
}

#[cfg(test)]
#[path = "plan_view/tests.rs"]
mod tests;
