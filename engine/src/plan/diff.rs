//! What differs between two plans, in the words of those who approve them.

use std::collections::{BTreeMap, BTreeSet};

use serde::Serialize;
use serde_json::{Map, Value, json};

use super::{Arguments, Head, Operation, Plan};

/// Which part of a plan a change is about.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Part {
    /// A task as a whole.
    Operation,
    /// That a task waits for another.
    Dependency,
    Argument,
    /// What a task runs: its definition, its method, the digest of its code.
    Code,
    /// Who must approve.
    Policy,
    /// How the flow or a task goes about it.
    Setting,
    /// Who asked for what.
    Request,
}

/// What became of it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Kind {
    Added,
    Removed,
    Changed,
}

/// One difference.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Change {
    pub what: Part,
    pub change: Kind,
    /// The name of the task it is about.
    pub operation: Option<String>,
    /// That task's `index`.
    pub index: Option<u32>,
    pub field: Option<String>,
    pub before: Option<Value>,
    pub after: Option<Value>,
}

/// Every difference of `after` from `before`; without `before` everything is added. Plans of different hashes
/// always differ in something.
pub fn diff(before: Option<&Plan>, after: &Plan) -> Vec<Change> {
    let mut changes = Changes::default();
    changes.heads(before.map(|plan| &plan.head), &after.head);
    let body = |plan: &Plan| {
        let body = plan.graph.body();
        json!({"on_failure": body.on_failure, "timeout_ms": body.timeout_ms})
    };
    changes.fields(Part::Setting, None, before.map(body), Some(body(after)));
    changes.operations(before, after);
    changes.dependencies(before, after);
    changes.0
}

#[derive(Default)]
struct Changes(Vec<Change>);

/// Members of an object, by name.
type Members = BTreeMap<String, Value>;

impl Changes {
    fn add(
        &mut self,
        what: Part,
        operation: Option<&Operation>,
        field: Option<&str>,
        before: Option<Value>,
        after: Option<Value>,
    ) {
        let change = match (&before, &after) {
            (before, after) if before == after => return,
            (None, _) => Kind::Added,
            (_, None) => Kind::Removed,
            _ => Kind::Changed,
        };
        self.0.push(Change {
            what,
            change,
            operation: operation.map(|operation| operation.name.clone()),
            index: operation.map(|operation| operation.index),
            field: field.map(str::to_owned),
            before,
            after,
        });
    }

    /// The fields of two objects, one by one. One that is null is not there.
    fn fields(
        &mut self,
        what: Part,
        operation: Option<&Operation>,
        before: Option<Value>,
        after: Option<Value>,
    ) {
        let (mut before, mut after) = (members(before), members(after));
        let names: BTreeSet<String> = before.keys().chain(after.keys()).cloned().collect();
        for name in names {
            let (before, after) = (before.remove(&name), after.remove(&name));
            self.add(what, operation, Some(&name), before, after);
        }
    }

    fn heads(&mut self, before: Option<&Head>, after: &Head) {
        let setting = |head: &Head| {
            json!({
                "v": head.v,
                "organization": head.organization,
                "flow": head.flow,
                "flow_name": head.flow_name,
                "flow_version": head.flow_version,
                "author": head.author,
            })
        };
        let request = |head: &Head| {
            let mut request = Map::new();
            let own = [
                ("triggered_by", json!(head.triggered_by)),
                ("requester", json!(head.requester)),
                ("instructions", json!(head.request.instructions)),
                ("name", json!(head.request.name)),
            ];
            request.extend(own.map(|(name, value)| (name.to_owned(), value)));
            Value::Object(request)
        };
        self.fields(
            Part::Setting,
            None,
            before.map(setting),
            Some(setting(after)),
        );
        self.fields(
            Part::Request,
            None,
            before.map(request),
            Some(request(after)),
        );
        self.metadata(before, after);
        let policy = |head: &Head| json!(head.policy);
        self.fields(Part::Policy, None, before.map(policy), Some(policy(after)));
    }

    /// Here null is a value like others.
    fn metadata(&mut self, before: Option<&Head>, after: &Head) {
        let of_before = before.map(|head| &*head.request.metadata);
        let of_after = &*after.request.metadata;
        let names: BTreeSet<&String> = of_before
            .into_iter()
            .flat_map(Map::keys)
            .chain(of_after.keys())
            .collect();
        for name in names {
            let before = of_before.and_then(|metadata| metadata.get(name)).cloned();
            let field = format!("metadata.{name}");
            self.add(
                Part::Request,
                None,
                Some(&field),
                before,
                of_after.get(name).cloned(),
            );
        }
    }

    fn operations(&mut self, before: Option<&Plan>, after: &Plan) {
        let (old, new) = (before.map(by_index).unwrap_or_default(), by_index(after));
        for (index, operation) in &old {
            if !new.contains_key(index) {
                let gone = Some(json!(operation));
                self.add(Part::Operation, Some(operation), None, gone, None);
            }
        }
        for (index, operation) in &new {
            match old.get(index) {
                Some(before) => self.operation(before, operation),
                None => {
                    let made = Some(json!(operation));
                    self.add(Part::Operation, Some(operation), None, None, made);
                }
            }
        }
    }

    fn operation(&mut self, before: &Operation, after: &Operation) {
        if before == after {
            return;
        }
        let code = |operation: &Operation| {
            json!({
                "definition": operation.definition,
                "integration": operation.integration,
                "kind": operation.kind,
                "method": operation.method,
                "code_digest": operation.code_digest,
                "pure": operation.pure,
                "repeatable": operation.repeatable,
                "parameters": operation.parameters,
            })
        };
        let setting = |operation: &Operation| {
            json!({
                "name": operation.name,
                "instruction": operation.instruction,
                "when": operation.when,
                "trigger_rule": operation.trigger_rule,
                "retry": operation.retry,
                "timeout_ms": operation.timeout_ms,
            })
        };
        let on = Some(after);
        self.fields(Part::Code, on, Some(code(before)), Some(code(after)));
        self.arguments(before, after);
        self.fields(
            Part::Setting,
            on,
            Some(setting(before)),
            Some(setting(after)),
        );
        let (old, new) = (&before.approval, &after.approval);
        if let (Some(old), Some(new)) = (old, new) {
            let (old_policy, new_policy) = (json!(old.policy), json!(new.policy));
            self.fields(Part::Policy, on, Some(old_policy), Some(new_policy));
            let (old, new) = (old.input.clone(), new.input.clone());
            self.add(Part::Policy, on, Some("input"), old, new);
        } else {
            let (old, new) = (old.as_ref(), new.as_ref());
            let value = |gate| json!(gate);
            self.add(
                Part::Policy,
                on,
                Some("approval"),
                old.map(value),
                new.map(value),
            );
        }
    }

    fn arguments(&mut self, before: &Operation, after: &Operation) {
        let (old, new) = (&before.arguments, &after.arguments);
        let same_kind = matches!(
            (old, new),
            (Arguments::Given(_), Arguments::Given(_))
                | (Arguments::ByName(_), Arguments::ByName(_))
        );
        if !same_kind {
            let (old, new) = (Some(json!(old)), Some(json!(new)));
            self.add(Part::Argument, Some(after), None, old, new);
            return;
        }
        let (mut old, mut new) = (named(old), named(new));
        let names: BTreeSet<String> = old.keys().chain(new.keys()).cloned().collect();
        let mut found = false;
        for name in names {
            let (old, new) = (old.remove(&name), new.remove(&name));
            found |= old != new;
            self.add(Part::Argument, Some(after), Some(&name), old, new);
        }
        // The same sources in another order.
        if !found && before.arguments != after.arguments {
            let (old, new) = (json!(before.arguments), json!(after.arguments));
            self.add(Part::Argument, Some(after), None, Some(old), Some(new));
        }
    }

    fn dependencies(&mut self, before: Option<&Plan>, after: &Plan) {
        let edges = |plan: &Plan| plan.graph.body().edges.iter().copied().collect();
        let old: BTreeSet<(u32, u32)> = before.map(edges).unwrap_or_default();
        let new: BTreeSet<(u32, u32)> = edges(after);
        let mut edge = |plan: &Plan, (source, target): (u32, u32), added: bool| {
            let position = plan.graph.position(target);
            let operation = position.map(|position| plan.graph.operation(position));
            let value = Some(json!({"source": source, "target": target}));
            let (before, after) = match added {
                true => (None, value),
                false => (value, None),
            };
            self.add(Part::Dependency, operation, None, before, after);
        };
        if let Some(plan) = before {
            old.difference(&new)
                .for_each(|ends| edge(plan, *ends, false));
        }
        new.difference(&old)
            .for_each(|ends| edge(after, *ends, true));
    }
}

fn by_index(plan: &Plan) -> BTreeMap<u32, &Operation> {
    let operations = plan.graph.body().operations.iter();
    operations
        .map(|operation| (operation.index, operation))
        .collect()
}

fn members(object: Option<Value>) -> Members {
    let Some(Value::Object(members)) = object else {
        return Members::new();
    };
    members
        .into_iter()
        .filter(|(_, value)| !value.is_null())
        .collect()
}

/// Arguments by parameter.
fn named(arguments: &Arguments) -> Members {
    match arguments {
        Arguments::Given(given) => given.clone(),
        Arguments::ByName(sources) => sources
            .iter()
            .map(|source| (source.parameter.clone(), json!(source)))
            .collect(),
    }
}
