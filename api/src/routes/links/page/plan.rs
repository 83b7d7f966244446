//! The plan on a page: who asks for what, what changed since it was approved last, and every task.

use std::sync::Arc;

use neena_engine::Micros;
use neena_engine::ids::{FlowId, OrganizationId, RunId};
use neena_engine::plan::{Arguments, Change, Operation, diff};
use serde_json::Value;

use super::super::open::Opened;
use super::escaped;
use crate::error::ApiError;
use crate::offload::offload;
use crate::routes::flow_runs::approved::last_approved;
use crate::state::AppState;

/// Tasks shown at most.
const MOST: usize = 500;
/// Most letters shown of one value.
const LONGEST: usize = 4_000;

/// Who asks for what.
pub(super) fn facts(opened: &Opened) -> String {
    let head = &opened.plan.head;
    let mut rows = vec![
        ("Asked by", head.triggered_by.clone()),
        ("Request", head.request.instructions.clone()),
        (
            "Input",
            pretty(&Value::Object((*head.request.metadata).clone())),
        ),
        ("Flow version", head.flow_version.to_string()),
    ];
    if let Some(author) = &head.author {
        rows.push(("Written by", author.email.clone()));
    }
    if let Some(gate) = &opened.gate {
        rows.push(("Gate before", gate.clone()));
    }
    if let Some(stage) = &opened.stage {
        rows.push(("Stage", stage.clone()));
    }
    if let Some(due) = opened.ask.as_ref().and_then(|ask| ask.due_at) {
        rows.push(("Answer until", Micros(due).to_string()));
    }
    rows.push(("Run", opened.link.run_id.to_string()));
    rows.push(("Plan", opened.plan.hash.to_string()));
    let rows: String = rows
        .iter()
        .map(|(name, value)| {
            let value = escaped(&short(value));
            format!("<tr><th>{name}</th><td><pre>{value}</pre></td></tr>")
        })
        .collect();
    format!("<table>{rows}</table>")
}

/// What changed since a plan of the flow was approved last; nothing where none was.
pub(super) async fn changes(app: &AppState, opened: &Opened) -> Result<String, ApiError> {
    let head = &opened.plan.head;
    let organization = OrganizationId(head.organization);
    let run = RunId(opened.link.run_id);
    let last = last_approved(app, organization, FlowId(head.flow), run).await?;
    let Some((last, before)) = last else {
        return Ok("<h2>Changes</h2><p>No plan of this flow was approved before.</p>".to_owned());
    };
    let after = Arc::clone(&opened.plan);
    let heavy = after.graph.len() > MOST;
    let changes = offload(heavy, move || diff(Some(&before), &after)).await?;
    if changes.is_empty() {
        return Ok("<h2>Changes</h2><p>The same plan was approved before.</p>".to_owned());
    }
    let rows: String = changes.iter().take(MOST).map(change).collect();
    let more = match changes.len().saturating_sub(MOST) {
        0 => String::new(),
        left => format!("<p>{left} more changes are not shown here.</p>"),
    };
    Ok(format!(
        "<h2>Changes</h2><p>Since run {last} was approved.</p>\
         <table><tr><th>What</th><th>Before</th><th>Now</th></tr>{rows}</table>{more}"
    ))
}

fn change(change: &Change) -> String {
    let word = |part: Value| part.as_str().unwrap_or_default().to_owned();
    let what = word(serde_json::to_value(change.what).unwrap_or_default());
    let kind = word(serde_json::to_value(change.change).unwrap_or_default());
    let place = [change.operation.as_deref(), change.field.as_deref()];
    let place: Vec<&str> = place.into_iter().flatten().collect();
    let shown = |value: &Option<Value>| match value {
        None => String::new(),
        Some(Value::String(text)) => escaped(&short(text)),
        Some(value) => escaped(&short(&pretty(value))),
    };
    format!(
        "<tr><td>{what} {kind}<br>{}</td><td><pre>{}</pre></td><td><pre>{}</pre></td></tr>",
        escaped(&place.join(": ")),
        shown(&change.before),
        shown(&change.after),
    )
}

/// Every task, in the order of the plan.
pub(super) fn operations(opened: &Opened) -> String {
    let operations = &opened.plan.graph.body().operations;
    let rows: String = operations.iter().take(MOST).map(operation).collect();
    let left = operations.len().saturating_sub(MOST);
    let more = match left {
        0 => String::new(),
        left => {
            format!("<p>{left} more tasks are not shown here; the API shows the whole plan.</p>")
        }
    };
    format!(
        "<h2>Plan</h2><table><tr><th>Task</th><th>Code</th><th>Arguments</th></tr>{rows}</table>{more}"
    )
}

fn operation(operation: &Operation) -> String {
    let arguments = match &operation.arguments {
        Arguments::Given(given) => pretty(&serde_json::to_value(given).unwrap_or_default()),
        Arguments::ByName(sources) => {
            let names = sources.iter().map(|source| source.parameter.as_str());
            format!("by name: {}", names.collect::<Vec<_>>().join(", "))
        }
    };
    let mut name = escaped(&operation.name);
    for (word, text) in [
        ("", operation.instruction.as_deref()),
        ("only if ", operation.when.as_deref()),
    ] {
        if let Some(text) = text {
            name.push_str(&format!(
                "<br><small>{word}{}</small>",
                escaped(&short(text))
            ));
        }
    }
    if operation.approval.is_some() {
        name.push_str("<br><small>asks for approval</small>");
    }
    format!(
        "<tr><td>{name}</td><td>{}.{}<br><small>{}</small></td><td><pre>{}</pre></td></tr>",
        escaped(&operation.integration),
        escaped(&operation.method),
        escaped(
            operation
                .code_digest
                .get(..12)
                .unwrap_or(&operation.code_digest)
        ),
        escaped(&short(&arguments)),
    )
}

pub(super) fn pretty(value: &Value) -> String {
    serde_json::to_string_pretty(value).unwrap_or_default()
}

/// As much of a text as a page shows.
fn short(text: &str) -> String {
    match text.char_indices().nth(LONGEST) {
        Some((at, _)) => format!("{}… ({} bytes in all)", &text[..at], text.len()),
        None => text.to_owned(),
    }
}
