//! `flow_result.body`: a run's result in words or JSON.

use std::collections::HashMap;
use std::sync::Arc;

use serde_json::Value;

use crate::{Json, Micros};

/// A body holds leaf results up to this many bytes together; what would not fit is told by its size.
const BODY_LIMIT: usize = 1 << 20;

/// The body of a completed run. `only` tells whether the graph has a single leaf: its result, if a
/// string, is the body as it is; else the body is JSON text `{task name: result}` of the leaves.
/// Two leaves of one name are told apart by their `index`.
pub fn result_body(leaves: &[(&str, u32, &Json)], only: bool) -> Arc<str> {
    if let ([(_, _, result)], true) = (leaves, only)
        && result.text().starts_with('"')
        && let Ok(Value::String(text)) = serde_json::from_str(result.text())
    {
        return text.into();
    }
    let mut names: HashMap<&str, usize> = HashMap::new();
    for (name, ..) in leaves {
        *names.entry(name).or_default() += 1;
    }
    let mut body = String::from("{");
    for (name, index, result) in leaves {
        if body.len() > 1 {
            body.push(',');
        }
        let key = if names[name] > 1 {
            format!("{name} ({index})")
        } else {
            (*name).to_owned()
        };
        body.push_str(Json::of(&key).text());
        body.push(':');
        if body.len() + result.text().len() <= BODY_LIMIT {
            body.push_str(result.text());
        } else {
            body.push_str(&format!("{{\"result_size\":{}}}", result.text().len()));
        }
    }
    body.push('}');
    body.into()
}

/// The body of a failed run: which tasks failed and why, a line each.
pub fn failure_body<'a>(failed: impl Iterator<Item = (&'a str, &'a str, &'a str)>) -> Arc<str> {
    let lines: Vec<String> = failed
        .take(100)
        .map(|(name, kind, message)| format!("Task `{name}` failed ({kind}): {message}"))
        .collect();
    lines.join("\n").into()
}

/// The body of a run that took too long.
pub fn timeout_body(deadline: Micros) -> Arc<str> {
    format!("The run did not end in time: its limit was {deadline}.").into()
}
