//! Flow files: a flow as the API takes it, except that an operation may name its task by `task`.

use std::path::Path;

use anyhow::{Context, bail};
use serde_json::{Map, Value};

use crate::names::Tasks;

/// What the API adds to a flow, its operations and its dependencies.
const ADDED: [&str; 8] = [
    "id",
    "flow",
    "version",
    "sorted_index",
    "created_date",
    "modified_date",
    "created_by_email",
    "modified_by_email",
];

/// Reads a flow file; the lines of the error say what is wrong and where.
pub fn read(path: &Path) -> anyhow::Result<Value> {
    let text = std::fs::read_to_string(path)
        .map_err(|error| anyhow::anyhow!("cannot read it: {error}"))?;
    let flow: Value = serde_json::from_str(&text).context("it is not JSON")?;
    match &flow {
        Value::Object(fields) if fields.get("name").is_some_and(Value::is_string) => Ok(flow),
        Value::Object(_) => bail!("name: a flow has a name (a text)"),
        _ => bail!("it is no flow: a flow is an object"),
    }
}

/// The flow with every `task` name replaced by the `task_definition` it means. Lists all names that
/// mean nothing, one per line.
pub fn resolve(mut flow: Value, tasks: &Tasks) -> anyhow::Result<Value> {
    let mut faults = Vec::new();
    let operations = flow
        .get_mut("task_operations")
        .and_then(Value::as_array_mut);
    for (at, operation) in operations.into_iter().flatten().enumerate() {
        let Some(operation) = operation.as_object_mut() else {
            continue;
        };
        let Some(task) = operation.remove("task") else {
            continue;
        };
        let place = format!("task_operations[{at}].task");
        match (task.as_str(), operation.contains_key("task_definition")) {
            (_, true) => faults.push(format!(
                "{place}: there is a `task_definition`, too; give one"
            )),
            (None, _) => faults.push(format!(
                "{place}: a task's name is a text such as \"core.echo\""
            )),
            (Some(name), _) => match tasks.id(name) {
                Some(id) => {
                    operation.insert("task_definition".to_owned(), id.into());
                }
                None => faults.push(format!("{place}: {}", unknown(name, tasks))),
            },
        }
    }
    if faults.is_empty() {
        Ok(flow)
    } else {
        bail!(faults.join("\n"))
    }
}

/// What to say of a task that the server does not have.
fn unknown(name: &str, tasks: &Tasks) -> String {
    let siblings = tasks.names(name.split('.').next());
    match siblings.as_slice() {
        [] => format!(
            "the server has no task `{name}` and nothing of its integration (run `neena sync` first?)"
        ),
        siblings => format!(
            "the server has no task `{name}`, but {}",
            siblings.join(", ")
        ),
    }
}

/// Whether the flow the server has says the same as the posted one, what the API adds left aside.
pub fn is_same(stored: &Value, posted: &Value) -> bool {
    essence(stored) == essence(posted)
}

/// A flow without what the API adds and without nulls, its lists in a fixed order.
fn essence(flow: &Value) -> Map<String, Value> {
    let mut fields = trimmed(flow);
    for (list, keys) in [
        ("task_operations", ["index", "index"]),
        (
            "dependencies",
            ["source_task_operation", "target_task_operation"],
        ),
    ] {
        let mut items: Vec<Map<String, Value>> = flow
            .get(list)
            .and_then(Value::as_array)
            .into_iter()
            .flatten()
            .map(trimmed)
            .collect();
        items.sort_by_key(|item| keys.map(|key| item.get(key).and_then(Value::as_u64)));
        fields.insert(
            list.to_owned(),
            items.into_iter().map(Value::Object).collect(),
        );
    }
    fields
}

/// An object without what the API adds and without nulls.
fn trimmed(object: &Value) -> Map<String, Value> {
    let mut fields = object.as_object().cloned().unwrap_or_default();
    fields.retain(|key, value| !value.is_null() && !ADDED.contains(&key.as_str()));
    fields.values_mut().for_each(whole_numbers);
    fields
}

/// JSON does not tell 1 from 1.0, nor do plans: whole numbers are made integers, all the way down.
fn whole_numbers(value: &mut Value) {
    match value {
        Value::Number(number) => {
            let whole = number
                .as_f64()
                .filter(|float| float.fract() == 0.0 && float.abs() < 1e15);
            if let (true, Some(whole)) = (number.is_f64(), whole) {
                *value = (whole as i64).into();
            }
        }
        Value::Array(items) => items.iter_mut().for_each(whole_numbers),
        Value::Object(fields) => fields.values_mut().for_each(whole_numbers),
        Value::Null | Value::Bool(_) | Value::String(_) => {}
    }
}

#[cfg(test)]
#[path = "flow_file/tests.rs"]
mod tests;
