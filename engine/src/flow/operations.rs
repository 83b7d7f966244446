//! What can be said of an operation without looking at the others.

use std::sync::Arc;

use serde_json::{Map, Value};

use super::check::{no_timeout, out_of_range};
use super::faults::Faults;
use super::references::{Reference, Site};
use super::{Definition, EXPRESSION, FlowSpec, OperationSpec};
use crate::binding::{Argument, Expression, Flaw, condition};
use crate::{Fault, Loc, loc};

/// What the expressions of a flow are found to need.
#[derive(Debug, Default)]
pub(super) struct Found {
    pub(super) references: Vec<Reference>,
    /// How many expressions there are.
    pub(super) expressions: usize,
}

impl Found {
    fn add(&mut self, place: u32, expression: &Expression, site: impl Fn() -> Site) {
        self.expressions += 1;
        let reference = |key: &str, gate| Reference {
            place,
            key: key.to_owned(),
            gate,
            site: site(),
        };
        self.references
            .extend(expression.tasks().map(|key| reference(key, false)));
        self.references
            .extend(expression.gates().map(|key| reference(key, true)));
    }
}

/// Notes what is wrong with the operation at a place; what its expressions refer to goes to `found`.
pub(super) fn check(
    place: u32,
    operation: &OperationSpec,
    definition: Option<&Arc<Definition>>,
    found: &mut Found,
    faults: &mut Faults,
) {
    let field = |name: &str| loc!["task_operations", place as usize, name];
    if definition.is_none() {
        faults.add(|| {
            let msg = format!("there is no task definition {}", operation.task_definition);
            Fault::new(field("task_definition"), "unknown_task_definition", msg)
        });
    }
    if operation.retry.max_attempts == 0 {
        faults.add(|| {
            let loc = [field("retry"), loc!["max_attempts"]].concat();
            out_of_range(loc, "at least 1: the first attempt counts")
        });
    }
    if operation.timeout_ms == Some(0) {
        faults.add(|| no_timeout(field("timeout_seconds")));
    }
    if let Some(when) = &operation.when {
        match condition(when) {
            Ok(when) => found.add(place, &when, || Site::When),
            Err(reason) => faults.add(|| Fault::new(field("when"), "bad_expression", reason)),
        }
    }
    if let Some(arguments) = &operation.arguments {
        check_arguments(place, arguments, definition, found, faults);
    }
}

fn check_arguments(
    place: u32,
    arguments: &Map<String, Value>,
    definition: Option<&Arc<Definition>>,
    found: &mut Found,
    faults: &mut Faults,
) {
    let at = |name: &str| loc!["task_operations", place as usize, "arguments", name];
    for (name, value) in arguments {
        if let Some(definition) = definition
            && !definition.takes_any
            && definition.parameter(name).is_none()
        {
            faults.add(|| Fault::new(at(name), "unknown_argument", unknown(name, definition)));
        }
        let mut flaws = Vec::new();
        let argument = read(name, value, definition, &mut flaws);
        for flaw in flaws {
            faults.add(|| Fault::new([at(name), flaw.loc].concat(), "bad_expression", flaw.reason));
        }
        argument.each(&mut |expression| {
            found.add(place, expression, || Site::Argument(name.clone()));
        });
    }
    for parameter in definition
        .iter()
        .flat_map(|definition| &definition.parameters)
    {
        let name = &parameter.name;
        if !parameter.optional && !arguments.contains_key(name) {
            faults.add(|| {
                let msg = format!("the argument `{name}` ({}) is missing", parameter.data_type);
                Fault::new(at(name), "missing_argument", msg)
            });
        }
    }
}

/// Reads an argument the way its parameter is declared.
fn read(
    name: &str,
    value: &Value,
    definition: Option<&Arc<Definition>>,
    flaws: &mut Vec<Flaw>,
) -> Argument {
    let parameter = definition.and_then(|definition| definition.parameter(name));
    if parameter.is_some_and(|parameter| parameter.data_type == EXPRESSION) {
        Argument::expression(value, flaws)
    } else {
        Argument::parse(value, flaws)
    }
}

fn unknown(name: &str, definition: &Definition) -> String {
    let takes: Vec<String> = definition
        .parameters
        .iter()
        .map(|parameter| format!("`{}`", parameter.name))
        .collect();
    let takes = if takes.is_empty() {
        "nothing".to_owned()
    } else {
        takes.join(", ")
    };
    format!(
        "`{}` has no parameter `{name}`; it takes {takes}",
        definition.name
    )
}

/// The exact place of a reference that is at fault: its argument is read again.
pub(super) fn locate(
    spec: &FlowSpec,
    definitions: &[Option<&Arc<Definition>>],
    reference: &Reference,
) -> Vec<Loc> {
    let place = reference.place as usize;
    let Site::Argument(name) = &reference.site else {
        return loc!["task_operations", place, "when"];
    };
    let value = spec.task_operations[place]
        .arguments
        .as_ref()
        .and_then(|all| all.get(name));
    let within = value.and_then(|value| {
        read(name, value, definitions[place], &mut Vec::new()).find(&reference.key)
    });
    let mut loc = loc!["task_operations", place, "arguments", name.as_str()];
    loc.extend(within.unwrap_or_default());
    loc
}
