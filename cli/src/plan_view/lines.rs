//! A plan in lines. What people wrote stands in one line each, cut where it is long, and steers no terminal.

use std::collections::HashMap;

use serde_json::Value;

use super::{Arguments, Operation, Plan, Source, Stage};
use crate::table::short;

/// Tasks shown of a plan; longer ones are cut, and say so.
const TASKS: usize = 100;
/// Arguments shown of a task, and entries of the metadata.
const ENTRIES: usize = 40;
/// Characters shown of the request's words.
const WORDS: usize = 600;
/// Characters shown of a value or an expression.
const VALUE: usize = 160;
/// Digits shown of the digest of the code.
const DIGEST: usize = 12;

/// The lines of a plan.
pub(super) struct Lines<'a> {
    plan: &'a Plan,
    /// By `index`: how a task is called in the lines of others.
    called: HashMap<u32, String>,
    /// By `index`: the tasks a task waits for.
    after: HashMap<u32, Vec<u32>>,
    lines: Vec<String>,
}

impl<'a> Lines<'a> {
    /// All that is told of a plan.
    pub(super) fn of(plan: &'a Plan) -> Lines<'a> {
        let operations = plan.operations.iter().enumerate();
        let places: HashMap<u32, usize> = operations
            .clone()
            .map(|(at, operation)| (operation.index, at))
            .collect();
        let mut after: HashMap<u32, Vec<u32>> = HashMap::new();
        for dependency in &plan.dependencies {
            after
                .entry(dependency.target_task_operation)
                .or_default()
                .push(dependency.source_task_operation);
        }
        for sources in after.values_mut() {
            sources.sort_by_key(|source| places.get(source));
        }
        let mut lines = Lines {
            plan,
            called: operations
                .map(|(at, operation)| {
                    let name = short(&operation.name, VALUE);
                    (operation.index, format!("{}. {name}", at + 1))
                })
                .collect(),
            after,
            lines: Vec::new(),
        };
        lines.head();
        lines.tasks();
        lines.field("hash", &plan.plan_hash);
        lines
    }

    pub(super) fn text(&self) -> String {
        self.lines.join("\n")
    }

    fn field(&mut self, label: &str, text: &str) {
        self.lines
            .push(format!("  {label:<8}  {}", short(text, WORDS)));
    }

    /// A line of a task.
    fn detail(&mut self, text: &str) {
        self.lines
            .push(format!("               {}", short(text, WORDS)));
    }

    fn head(&mut self) {
        let plan = self.plan;
        self.lines
            .push(format!("Plan of run {}", short(&plan.flow_run, WORDS)));
        let flow = short(&plan.flow_name, VALUE * 2);
        self.field("flow", &format!("{flow} (version {})", plan.flow_version));
        let name = plan.request.name.as_ref();
        let name = name.map(|name| format!("{name}: ")).unwrap_or_default();
        self.field("request", &format!("{name}{}", plan.request.instructions));
        let mut label = "metadata";
        for (key, value) in plan.request.metadata.iter().take(ENTRIES) {
            let told = format!("{} = {}", short(key, VALUE), shown(value));
            self.field(std::mem::take(&mut label), &told);
        }
        if let Some(more) = more(plan.request.metadata.len(), ENTRIES) {
            self.field("", &more);
        }
        self.field("asked by", &plan.triggered_by);
        self.approval();
        if plan.on_failure != "stop" {
            self.field("failure", &plan.on_failure);
        }
        if let Some(limit) = plan.timeout_seconds {
            self.field("timeout", &format!("{limit} s"));
        }
    }

    /// Who must approve, where it is more than one approval by whoever may approve.
    fn approval(&mut self) {
        let policy = &self.plan.policy;
        let told: Vec<String> = match policy.stages.as_slice() {
            _ if policy.mode == "none" => vec!["nobody is asked".to_owned()],
            [] if policy.count == 1 => Vec::new(),
            [] => vec![format!("by {}", policy.count)],
            [only] if only.count == 1 && only.approvers.is_empty() => Vec::new(),
            stages => stages.iter().map(told_stage).collect(),
        };
        let mut label = "approval";
        for line in told {
            self.field(std::mem::take(&mut label), &line);
        }
        if let Some(limit) = self.plan.policy.expires_in_seconds {
            let then = match self.plan.policy.on_expiry.as_str() {
                "escalate" => "others are asked, too",
                "approve" => "it counts as approved",
                _ => "it counts as rejected",
            };
            self.field("expires", &format!("after {limit} s: then {then}"));
        }
    }

    fn tasks(&mut self) {
        let plan = self.plan;
        let width = plan
            .operations
            .iter()
            .take(TASKS)
            .filter_map(|operation| Some(self.called.get(&operation.index)?.chars().count()))
            .max()
            .unwrap_or(0)
            .min(40);
        let mut label = "tasks";
        for operation in plan.operations.iter().take(TASKS) {
            let line = format!(
                "{:<width$}  {}  code {}",
                self.called(operation.index),
                operation.task(),
                digest(&operation.code_digest)
            );
            self.field(std::mem::take(&mut label), &line);
            self.task(operation);
        }
        if let Some(more) = more(plan.operations.len(), TASKS) {
            self.field("", &more);
        }
    }

    fn task(&mut self, operation: &Operation) {
        if let Some(sources) = self.after.get(&operation.index) {
            let names: Vec<String> = sources.iter().map(|source| self.called(*source)).collect();
            self.detail(&format!("after {}", names.join(", ")));
        }
        if let Some(instruction) = &operation.instruction {
            self.detail(&format!("note {}", short(instruction, VALUE)));
        }
        let told: Vec<String> = match &operation.arguments {
            Arguments::Written(arguments) => arguments
                .iter()
                .take(ENTRIES)
                .map(|(name, value)| format!("{} = {}", short(name, VALUE), shown(value)))
                .collect(),
            Arguments::Named(sources) => sources
                .iter()
                .take(ENTRIES)
                .map(|source| self.source(source))
                .collect(),
        };
        told.iter().for_each(|line| self.detail(line));
        let count = match &operation.arguments {
            Arguments::Written(arguments) => arguments.len(),
            Arguments::Named(sources) => sources.len(),
        };
        if let Some(more) = more(count, ENTRIES) {
            self.detail(&more);
        }
        if let Some(when) = &operation.when {
            self.detail(&format!("when {}", short(when, VALUE)));
        }
        if operation.trigger_rule != "all_success" {
            self.detail(&format!("trigger rule {}", operation.trigger_rule));
        }
        let retry = &operation.retry;
        if retry.max_attempts > 1 {
            self.detail(&format!(
                "retry up to {} attempts, {} s apart ({}, at most {} s)",
                retry.max_attempts, retry.delay_seconds, retry.backoff, retry.max_delay_seconds
            ));
        }
        if let Some(limit) = operation.timeout_seconds {
            self.detail(&format!("timeout {limit} s"));
        }
        if operation.approval.is_some() {
            self.detail("gate: it starts when it is approved");
        }
    }

    fn source(&self, source: &Source) -> String {
        let parameter = short(&source.parameter, VALUE);
        match (source.source.as_deref(), source.task_operation) {
            (Some("metadata"), _) => {
                let value = self.plan.request.metadata.get(&source.parameter);
                let value = value.map(shown).unwrap_or_default();
                format!("{parameter} = {value} (metadata)")
            }
            (_, Some(task)) => {
                let output = source.output.as_deref().unwrap_or("result");
                let output = short(output, VALUE);
                format!("{parameter} = {output} of {}", self.called(task))
            }
            _ => format!("{parameter} is not given"),
        }
    }

    fn called(&self, index: u32) -> String {
        self.called
            .get(&index)
            .cloned()
            .unwrap_or_else(|| format!("task {index}"))
    }
}

/// A stage in one line.
fn told_stage(stage: &Stage) -> String {
    let who = match stage.approvers.as_slice() {
        [] => "anyone who may approve".to_owned(),
        names => names.join(", "),
    };
    format!("{}: {} of {who}", stage.name, stage.count)
}

/// A value in one line.
fn shown(value: &Value) -> String {
    short(&value.to_string(), VALUE)
}

/// That not everything is shown, where it is not.
fn more(count: usize, shown: usize) -> Option<String> {
    (count > shown).then(|| format!("… and {} more (--json has them all)", count - shown))
}

/// The beginning of the code's digest; the name of code that is built in, whole.
fn digest(digest: &str) -> String {
    if digest.len() == 64 && digest.bytes().all(|byte| byte.is_ascii_hexdigit()) {
        digest.chars().take(DIGEST).collect()
    } else {
        short(digest, VALUE)
    }
}
