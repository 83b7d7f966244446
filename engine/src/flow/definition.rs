//! Task definitions: what a task operation may name.

use std::collections::HashMap;
use std::sync::Arc;

use serde::{Deserialize, Serialize};

use crate::ids::TaskDefinitionId;

/// How a task is run.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Kind {
    /// Part of the engine's own binary (`core.…`).
    BuiltIn,
    /// A method of a Python integration, called in a warm host process.
    Python,
    /// Declared only: workers outside, in any language, take it from a queue.
    External,
}

/// The `data_type` of a parameter whose value is an expression.
pub const EXPRESSION: &str = "expression";

/// The output of a method that returns a plain value: the only one, and the result itself.
const WHOLE: &str = "result";

/// One parameter or output parameter of a task definition.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Parameter {
    /// Its name, as the method declares it.
    pub name: String,
    /// Its type in words: `string`, `integer`, `number`, `boolean`, `object`, `array`, `any`, or `expression`
    /// (a string that is evaluated as an expression when the task is bound).
    pub data_type: String,
    /// Its place in the signature, from 1.
    pub position: u32,
    /// What it means, from the docstring.
    pub doc_string: Option<String>,
    /// Whether it may be left out.
    pub optional: bool,
}

/// A kind of task, as the registry knows it when a flow is posted or a plan is made.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Definition {
    pub id: TaskDefinitionId,
    /// The task's name for people.
    pub name: String,
    /// Short name of its integration.
    pub integration: String,
    pub kind: Kind,
    /// `python_method_name`: the method, or `core.…`.
    pub method: String,
    /// Digest of the code behind it; for a built-in its version.
    pub code_digest: String,
    /// Safe to recompute: a function of its arguments and its code, without effect.
    pub pure: bool,
    /// Whether an attempt lost with its worker may run again.
    pub repeatable: bool,
    /// Whether it takes arguments it does not declare.
    pub takes_any: bool,
    pub parameters: Vec<Parameter>,
    pub outputs: Vec<Parameter>,
}

impl Definition {
    /// Whether its one output is the whole result rather than a field of it.
    pub(crate) fn gives_whole(&self) -> bool {
        matches!(&self.outputs[..], [output] if output.name == WHOLE)
    }

    /// Its parameters, by position.
    pub(crate) fn in_order(&self) -> Vec<&Parameter> {
        let mut parameters: Vec<&Parameter> = self.parameters.iter().collect();
        parameters.sort_by_key(|parameter| parameter.position);
        parameters
    }

    /// The parameter of a name.
    pub(crate) fn parameter(&self, name: &str) -> Option<&Parameter> {
        self.parameters
            .iter()
            .find(|parameter| parameter.name == name)
    }
}

/// The task definitions a flow refers to, by id.
pub type Catalogue = HashMap<TaskDefinitionId, Arc<Definition>>;
