//! Gates of a plan, as approvers see them.

use serde::Deserialize;
use serde_json::Value;

use super::Plan;
use crate::table::{local, short};

/// Characters shown of a value.
const VALUE: usize = 160;
/// Upstream results shown.
const RESULTS: usize = 20;

/// A gate before a task.
#[derive(Clone, Debug)]
pub struct Gate {
    /// The name of its task.
    pub name: String,
    pub task_operation_index: u32,
    /// What is asked there; none while the run has not come so far.
    ask: Option<Ask>,
    /// What an approver fills in, as a JSON Schema.
    input: Option<Value>,
}

/// What waits for people, as a plan's answer has it.
#[derive(Clone, Debug, Deserialize)]
pub struct Ask {
    pub task_operation_index: Option<u32>,
    pub state: String,
    pub stage: Option<String>,
    pub due_time: Option<String>,
    #[serde(default)]
    pub approvals: Vec<Vote>,
    #[serde(default)]
    pub upstream: Vec<Upstream>,
}

/// A vote that was cast.
#[derive(Clone, Debug, Deserialize)]
pub struct Vote {
    pub stage: Option<String>,
    pub email: String,
    pub stands_in_for: Option<String>,
    pub decision: String,
    pub comment: Option<String>,
    pub time: Option<String>,
}

/// What a task before the gate gave.
#[derive(Clone, Debug, Deserialize)]
pub struct Upstream {
    pub name: String,
    pub status: String,
    #[serde(default)]
    pub result: Value,
}

impl Gate {
    /// The gates of a plan, in its order.
    pub(super) fn all(plan: &Plan) -> Vec<Gate> {
        let ask = |index| {
            let mut asks = plan.asks.iter();
            asks.find(|ask| ask.task_operation_index == Some(index))
                .cloned()
        };
        plan.operations
            .iter()
            .filter_map(|operation| {
                let approval = operation.approval.as_ref()?;
                Some(Gate {
                    name: operation.name.clone(),
                    task_operation_index: operation.index,
                    ask: ask(operation.index),
                    input: approval
                        .get("input")
                        .filter(|input| !input.is_null())
                        .cloned(),
                })
            })
            .collect()
    }

    /// Whether people mean it by `name`: the name of its task, that in lower case with `_`, or its index.
    pub fn is(&self, name: &str) -> bool {
        let key = |text: &str| -> String {
            let plain = |c: char| match c.is_ascii_alphanumeric() {
                true => c.to_ascii_lowercase(),
                false => '_',
            };
            text.chars().map(plain).collect()
        };
        key(name) == key(&self.name) || name == self.task_operation_index.to_string()
    }

    /// What an approver of this gate should see: what came before it, who has decided, what is to be filled in.
    pub fn lines(&self) -> String {
        let mut lines = vec![format!("Gate `{}`", short(&self.name, VALUE))];
        let mut field = |label: &str, text: &str| {
            lines.push(format!("  {label:<8}  {}", short(text, VALUE * 3)));
        };
        match &self.ask {
            None => field("state", "the run has not come so far"),
            Some(ask) => {
                let until = ask.due_time.as_deref();
                let until = until.map(|due| format!(", until {}", local(Some(due))));
                field(
                    "state",
                    &format!("{}{}", ask.state, until.unwrap_or_default()),
                );
                if let Some(stage) = &ask.stage {
                    field("stage", stage);
                }
                for vote in &ask.approvals {
                    field("vote", &vote.line());
                }
                for before in ask.upstream.iter().take(RESULTS) {
                    let result = match &before.result {
                        Value::Null => before.status.clone(),
                        Value::String(text) => text.clone(),
                        value => value.to_string(),
                    };
                    field(
                        "before",
                        &format!("{} = {}", short(&before.name, 60), short(&result, VALUE)),
                    );
                }
            }
        }
        if let Some(input) = &self.input {
            field("answer", &format!("--answer, as {input}"));
        }
        lines.join("\n")
    }
}

impl Vote {
    /// In one line: who, what, when, why.
    pub fn line(&self) -> String {
        let stage = self.stage.as_deref();
        let stage = stage
            .map(|stage| format!(" in {stage}"))
            .unwrap_or_default();
        let place = self.stands_in_for.as_deref();
        let place = place.map(|one| format!(" for {one}")).unwrap_or_default();
        let why = self.comment.as_deref();
        let why = why.map(|why| format!(": {why}")).unwrap_or_default();
        let when = local(self.time.as_deref());
        format!(
            "{} {}s{stage}{place}, {when}{why}",
            self.email, self.decision
        )
    }
}
