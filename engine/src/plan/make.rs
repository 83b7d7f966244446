//! Making a plan: a graph and a head become what an approver approves.

use std::collections::HashMap;
use std::sync::Arc;

use serde_json::Value;

use super::{Arguments, Graph, Head, NamedSource, Operation, PLAN_V, Plan};
use crate::binding::{Named, condition, shortened};
use crate::flow::Faults;
use crate::{Fault, Hash, loc};

impl Plan {
    /// Makes the plan of a run: `head` is given this graph's hash and the current format, and everything
    /// in the plan is read back from the canonical text that gets hashed. A parameter that neither the
    /// request's metadata nor an upstream output gives a value is a fault, and so is an expression in
    /// the metadata that cannot be evaluated. Locations start at a body that names a flow and a request.
    pub fn make(graph: Arc<Graph>, mut head: Head) -> Result<Plan, Vec<Fault>> {
        let mut faults = Faults::default();
        let mut expressions = Expressions::default();
        for (position, operation) in graph.body().operations.iter().enumerate() {
            let Arguments::ByName(sources) = &operation.arguments else {
                continue;
            };
            for source in sources {
                match head.request.metadata.get(&source.parameter) {
                    Some(value) if operation.takes_expression(&source.parameter) => {
                        let checked = expressions.check(&graph, position, &source.parameter, value);
                        if let Err(reason) = checked {
                            faults.add(|| bad_expression(operation, source, &reason));
                        }
                    }
                    Some(_) => {}
                    None if source.upstream.is_some() || source.optional => {}
                    None => faults.add(|| open(operation, source)),
                }
            }
        }
        faults.finish()?;
        head.v = PLAN_V;
        head.graph = graph.hash();
        let unfit = |reason: String| vec![Fault::new(loc!["flow_request"], "too_deep", reason)];
        let text = head
            .text()
            .map_err(|error| unfit(format!("the request's metadata is {error}")))?;
        let hash = Hash::of(text.as_bytes());
        Plan::parse(&text, hash, graph).map_err(|error| unfit(error.to_string()))
    }
}

/// Expressions found in the metadata, each compiled once however many operations take it.
#[derive(Default)]
struct Expressions<'a> {
    /// By parameter: the tasks it looks at, or why it cannot be evaluated.
    compiled: HashMap<&'a str, Result<Vec<String>, String>>,
    /// By position of a task looked at: what depends on it.
    behind: HashMap<u32, Vec<bool>>,
}

impl<'a> Expressions<'a> {
    fn check(
        &mut self,
        graph: &Graph,
        position: usize,
        parameter: &'a str,
        value: &Value,
    ) -> Result<(), String> {
        let compiled = self
            .compiled
            .entry(parameter)
            .or_insert_with(|| match value {
                Value::String(text) => {
                    condition(text).and_then(|expression| match expression.gates().next() {
                        Some(key) => Err(format!(
                            "`gates.{key}`: a gate's answer is not at hand here"
                        )),
                        None => Ok(expression.tasks().map(str::to_owned).collect()),
                    })
                }
                _ => Err("an expression is given as a string".to_owned()),
            });
        for key in compiled.as_ref().map_err(String::clone)? {
            match graph.keys().get(key) {
                None => return Err(format!("`tasks.{key}`: no task of this flow has that key")),
                Some(Named::Several) => {
                    return Err(format!("`tasks.{key}`: several tasks have that key"));
                }
                Some(Named::One(target)) => {
                    let behind = self
                        .behind
                        .entry(target)
                        .or_insert_with(|| behind(graph, target));
                    if !behind[position] {
                        return Err(format!("`tasks.{key}` does not stand upstream of it"));
                    }
                }
            }
        }
        Ok(())
    }
}

/// For each position, whether it depends on `target`, directly or through others.
fn behind(graph: &Graph, target: u32) -> Vec<bool> {
    let mut behind = vec![false; graph.len()];
    let mut open = vec![target];
    while let Some(position) = open.pop() {
        for &next in graph.downstream(position as usize) {
            if !std::mem::replace(&mut behind[next as usize], true) {
                open.push(next);
            }
        }
    }
    behind
}

fn open(operation: &Operation, source: &NamedSource) -> Fault {
    let msg = format!(
        "`{}` ({}) needs `{}`: the request's metadata does not have it, and no task before it gives it",
        shortened(&operation.name, 80),
        operation.index,
        source.parameter
    );
    Fault::new(loc!["flow_request"], "missing_argument", msg)
}

fn bad_expression(operation: &Operation, source: &NamedSource, reason: &str) -> Fault {
    let msg = format!(
        "`{}` ({}) evaluates `{}` of the request's metadata: {reason}",
        shortened(&operation.name, 80),
        operation.index,
        source.parameter
    );
    Fault::new(loc!["flow_request"], "bad_expression", msg)
}
