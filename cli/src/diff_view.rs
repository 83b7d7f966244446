//! What changed since the last approved run of a flow, in colour where the terminal has some.

use anstyle::{AnsiColor, Style};
use serde::Deserialize;
use serde_json::Value;

use crate::client::{Client, ClientError, read};
use crate::table::short;

/// Changes shown; longer lists are cut, and say so.
const SHOWN: usize = 100;
/// Characters shown of a value.
const VALUE: usize = 160;

/// What `flow_runs/plan_diff` answers.
#[derive(Clone, Debug, Deserialize)]
pub struct DiffView {
    /// The run it was compared with; none was approved before.
    pub against: Option<String>,
    #[serde(default)]
    pub changes: Vec<Change>,
}

/// One change.
#[derive(Clone, Debug, Deserialize)]
pub struct Change {
    pub what: String,
    /// `added`, `removed` or `changed`.
    pub change: String,
    pub operation: Option<String>,
    pub field: Option<String>,
    #[serde(default)]
    pub before: Value,
    #[serde(default)]
    pub after: Value,
}

impl DiffView {
    /// The changes of the run's plan.
    pub async fn load(client: &Client, run: &str) -> Result<DiffView, ClientError> {
        let query = [("flow_run_id", run)];
        read(&client.get("flow_runs/plan_diff", &query).await?)
    }

    /// Prints it on standard error.
    pub fn print(&self) {
        for (style, line) in self.lines() {
            anstream::eprintln!("{style}{line}{style:#}");
        }
    }

    fn lines(&self) -> Vec<(Style, String)> {
        let plain = Style::new();
        let Some(against) = &self.against else {
            let line = "No run of this flow was approved before.".to_owned();
            return vec![(plain, line)];
        };
        if self.changes.is_empty() {
            let line = format!("Nothing has changed since the last approved run, {against}.");
            return vec![(plain, line)];
        }
        let heading = format!("Changed since the last approved run, {against}:");
        let mut lines = vec![(plain.bold(), heading)];
        lines.extend(self.changes.iter().take(SHOWN).map(Change::line));
        if let Some(more) = self
            .changes
            .len()
            .checked_sub(SHOWN)
            .filter(|more| *more > 0)
        {
            lines.push((plain, format!("  … and {more} more")));
        }
        lines
    }
}

impl Change {
    fn line(&self) -> (Style, String) {
        let (sign, color) = match self.change.as_str() {
            "added" => ('+', AnsiColor::Green),
            "removed" => ('-', AnsiColor::Red),
            _ => ('~', AnsiColor::Yellow),
        };
        let mut line = format!("  {sign} {}", short(&self.what, 40));
        if let Some(operation) = &self.operation {
            line.push_str(&format!(" of `{}`", short(operation, 80)));
        }
        if let Some(field) = &self.field {
            line.push_str(&format!(" {}", short(field, 80)));
        }
        let value = |value: &Value| short(&value.to_string(), VALUE);
        line.push_str(&match (self.before.is_null(), self.after.is_null()) {
            (true, true) => String::new(),
            (true, false) => format!(": {}", value(&self.after)),
            (false, true) => format!(": {}", value(&self.before)),
            (false, false) => format!(": {} → {}", value(&self.before), value(&self.after)),
        });
        (Style::new().fg_color(Some(color.into())), line)
    }
}

#[cfg(test)]
#[expect(clippy::unwrap_used, reason = "tests")]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn each_change_is_one_line_with_its_sign() {
        let diff: DiffView = serde_json::from_value(json!({
            "against": "r0",
            "changes": [
                {"what": "operation", "change": "added", "operation": "Send", "after": "mail.send"},
                {"what": "argument", "change": "changed", "operation": "Read", "field": "path",
                 "before": "/a", "after": "/b\u{1b}[31m"},
                {"what": "code", "change": "removed", "operation": "Old", "before": "5f"},
            ]
        }))
        .unwrap();
        let lines: Vec<String> = diff.lines().into_iter().map(|(_, line)| line).collect();
        assert_eq!(
            lines,
            [
                "Changed since the last approved run, r0:",
                "  + operation of `Send`: \"mail.send\"",
                "  ~ argument of `Read` path: \"/a\" → \"/b\\u001b[31m\"",
                "  - code of `Old`: \"5f\"",
            ]
        );
    }

    #[test]
    fn a_first_run_and_an_unchanged_one_say_so() {
        let none: DiffView = serde_json::from_value(json!({"against": null})).unwrap();
        assert!(none.lines()[0].1.starts_with("No run of this flow"));
        let same: DiffView =
            serde_json::from_value(json!({"against": "r0", "changes": []})).unwrap();
        assert!(same.lines()[0].1.starts_with("Nothing has changed"));
    }
}
