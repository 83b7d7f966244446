//! What expressions see.

use std::sync::Arc;

use minijinja::Value;
use minijinja::value::Object;

use crate::Json;
use crate::ids::RunId;
use crate::plan::{Head, Metadata};

/// Where a task's arguments come from, besides the flow itself.
pub trait Scope {
    /// The head of the run's plan.
    fn head(&self) -> &Head;
    /// The run.
    fn run(&self) -> RunId;
    /// Result of the operation at a position; none while it has none (skipped, failed, not ended).
    fn result(&self, position: usize) -> Option<&Json>;
    /// What the gate of the operation at a position was answered; none while it is not open.
    fn gate(&self, position: usize) -> Option<&Json>;
}

/// The names at the root of an expression. Holds only what the expression refers to, and converts
/// none of it before it is looked at.
#[derive(Debug)]
pub(super) struct Names {
    tasks: Arc<Tasks>,
    gates: Arc<Gates>,
    request: Arc<Request>,
    run: Arc<Run>,
}

impl Names {
    /// What an expression that refers to `tasks` (key and result) and `gates` (key and answer) sees.
    pub(super) fn new(scope: &dyn Scope, tasks: Vec<Referred>, gates: Vec<Referred>) -> Names {
        let head = scope.head();
        Names {
            tasks: Arc::new(Tasks(tasks)),
            gates: Arc::new(Gates(gates)),
            request: Arc::new(Request {
                instructions: head.request.instructions.clone(),
                name: head.request.name.clone(),
                metadata: head.request.metadata.clone(),
            }),
            run: Arc::new(Run {
                id: scope.run(),
                flow: head.flow.to_string(),
                organization: head.organization.to_string(),
                triggered_by: head.triggered_by.clone(),
            }),
        }
    }
}

impl Object for Names {
    fn get_value(self: &Arc<Self>, key: &Value) -> Option<Value> {
        match key.as_str()? {
            "tasks" => Some(Value::from_dyn_object(Arc::clone(&self.tasks))),
            "gates" => Some(Value::from_dyn_object(Arc::clone(&self.gates))),
            "request" => Some(Value::from_dyn_object(Arc::clone(&self.request))),
            "run" => Some(Value::from_dyn_object(Arc::clone(&self.run))),
            _ => None,
        }
    }
}

/// What an expression refers to: its key, and its value where it has one.
pub(super) type Referred = (Arc<str>, Option<Json>);

#[derive(Debug)]
struct Gates(Vec<Referred>);

impl Object for Gates {
    fn get_value(self: &Arc<Self>, key: &Value) -> Option<Value> {
        let key = key.as_str()?;
        let (_, answer) = self.0.iter().find(|(name, _)| **name == *key)?;
        Some(answer.as_ref()?.value().clone())
    }
}

#[derive(Debug)]
struct Tasks(Vec<Referred>);

impl Object for Tasks {
    fn get_value(self: &Arc<Self>, key: &Value) -> Option<Value> {
        let key = key.as_str()?;
        let (_, result) = self.0.iter().find(|(name, _)| **name == *key)?;
        Some(Value::from_object(Task(result.clone())))
    }
}

#[derive(Debug)]
struct Task(Option<Json>);

impl Object for Task {
    fn get_value(self: &Arc<Self>, key: &Value) -> Option<Value> {
        match key.as_str()? {
            "result" => Some(self.0.as_ref()?.value().clone()),
            _ => None,
        }
    }
}

#[derive(Debug)]
struct Request {
    instructions: String,
    name: Option<String>,
    metadata: Metadata,
}

impl Object for Request {
    fn get_value(self: &Arc<Self>, key: &Value) -> Option<Value> {
        match key.as_str()? {
            "instructions" => Some(Value::from(&*self.instructions)),
            "name" => Some(Value::from(self.name.as_deref())),
            "metadata" => Some(self.metadata.value().clone()),
            _ => None,
        }
    }
}

#[derive(Debug)]
struct Run {
    id: RunId,
    flow: String,
    organization: String,
    triggered_by: String,
}

impl Object for Run {
    fn get_value(self: &Arc<Self>, key: &Value) -> Option<Value> {
        match key.as_str()? {
            "id" => Some(Value::from(self.id.to_string())),
            "flow" => Some(Value::from(&*self.flow)),
            "organization" => Some(Value::from(&*self.organization)),
            "triggered_by" => Some(Value::from(&*self.triggered_by)),
            _ => None,
        }
    }
}
