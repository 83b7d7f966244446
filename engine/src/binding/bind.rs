//! Binding: what a task is called with, and how that came about.

use std::sync::OnceLock;

use super::argument::{Argument, Flaw, naming};
use super::expression::Expression;
use super::keys::Keys;
use super::scope::Scope;
use super::template::whole;
use super::text::{Bounded, MAX_BYTES, Trouble, quoted, shortened};
use crate::Json;
use crate::plan::{Arguments, Graph, NamedSource, Operation};

/// What a task is called with.
#[derive(Clone, Debug)]
pub struct Bound {
    /// An object: parameter → value.
    pub arguments: Json,
    /// `{"parameters": [{"name", "value", "explanation"}]}`: where each value came from, in words.
    pub prep_answer: Json,
}

/// Why a task has no arguments. The run goes on without it: it fails as any task can.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{message}")]
pub struct BindError {
    kind: &'static str,
    message: String,
}

impl BindError {
    /// A stable word: `binding`, or `arguments_too_large`.
    pub fn kind(&self) -> &'static str {
        self.kind
    }
}

/// An operation made ready: its expressions compiled.
#[derive(Debug)]
pub(crate) struct Step {
    given: Given,
    when: Option<Expression>,
}

#[derive(Debug)]
enum Given {
    /// The same for every run: made at the first call, shared from then on.
    Fixed(Vec<(String, Argument)>, OnceLock<Bound>),
    Open(Vec<(String, Argument)>),
    ByName,
}

impl Step {
    /// Compiles what an operation holds; flaws are those the flow's own check lists.
    pub(crate) fn new(operation: &Operation, keys: &Keys) -> Result<Step, Vec<Flaw>> {
        let mut flaws = Vec::new();
        let given = match &operation.arguments {
            Arguments::ByName(_) => Given::ByName,
            Arguments::Given(arguments) => {
                let mut given = Vec::with_capacity(arguments.len());
                for (name, value) in arguments {
                    let mut argument = if operation.takes_expression(name) {
                        Argument::expression(value, &mut flaws)
                    } else {
                        Argument::parse(value, &mut flaws)
                    };
                    argument.resolve(keys);
                    given.push((name.clone(), argument));
                }
                if given.iter().all(|(_, argument)| argument.is_fixed()) {
                    Given::Fixed(given, OnceLock::new())
                } else {
                    Given::Open(given)
                }
            }
        };
        let when = match operation.when.as_deref().map(condition).transpose() {
            Ok(when) => when.map(|mut when| {
                when.resolve(keys);
                when
            }),
            Err(reason) => {
                flaws.push(Flaw {
                    loc: Vec::new(),
                    reason,
                });
                None
            }
        };
        if flaws.is_empty() {
            Ok(Step { given, when })
        } else {
            Err(flaws)
        }
    }
}

/// Compiles a condition, written with or without braces.
pub(crate) fn condition(source: &str) -> Result<Expression, String> {
    Expression::parse(whole(source).unwrap_or(source))
}

impl Graph {
    /// What the operation at a position is called with. Depends on the plan and on recorded results
    /// only: the same run binds the same, whoever owns it.
    pub fn bind(&self, position: usize, scope: &dyn Scope) -> Result<Bound, BindError> {
        let operation = self.operation(position);
        match &self.step(position).given {
            Given::Fixed(arguments, bound) => {
                if let Some(bound) = bound.get() {
                    return Ok(bound.clone());
                }
                let made = given(arguments, scope)?;
                Ok(bound.get_or_init(|| made).clone())
            }
            Given::Open(arguments) => given(arguments, scope),
            Given::ByName => match &operation.arguments {
                Arguments::ByName(sources) => self.by_name(operation, sources, scope),
                Arguments::Given(_) => Assembly::default().finish(),
            },
        }
    }

    /// Whether the operation at a position is wanted; true without `when`.
    pub fn when(&self, position: usize, scope: &dyn Scope) -> Result<bool, BindError> {
        match &self.step(position).when {
            None => Ok(true),
            Some(when) => when
                .is_true(scope)
                .map_err(|trouble| failed("when", naming(when, trouble))),
        }
    }

    fn by_name(
        &self,
        operation: &Operation,
        sources: &[NamedSource],
        scope: &dyn Scope,
    ) -> Result<Bound, BindError> {
        let mut assembly = Assembly::default();
        for source in sources {
            let name = &source.parameter;
            let metadata = &scope.head().request.metadata;
            if let Some(value) = metadata.get(name) {
                let explanation = format!("from the request's metadata `{name}`");
                match value.as_str().filter(|_| operation.takes_expression(name)) {
                    None => assembly.add(name, &explanation, |out| out.push(&value.to_string()))?,
                    Some(text) => {
                        let mut expression = condition(text)
                            .map_err(|reason| failed(&argument(name), Trouble::Bad(reason)))?;
                        expression.resolve(self.keys());
                        let push = |out: &mut Bounded| {
                            expression
                                .push_json(out, scope)
                                .map_err(|trouble| naming(&expression, trouble))
                        };
                        assembly.add(name, &explanation, push)?;
                    }
                }
            } else if let Some((producer, value)) = self.output(source, scope) {
                let explanation = format!("from the output `{name}` of `{}`", producer.name);
                assembly.add(name, &explanation, |out| match value {
                    Output::Whole(result) => out.push(result.text()),
                    Output::Field(value) => out.push_value(&value),
                })?;
            } else if source.optional {
                assembly.leave_out(name);
            } else {
                let reason = match source.upstream.and_then(|index| self.position(index)) {
                    Some(at) => format!("`{}` gave no output `{name}`", self.operation(at).name),
                    None => "nothing gives it a value".to_owned(),
                };
                return Err(failed(&argument(name), Trouble::Bad(reason)));
            }
        }
        assembly.finish()
    }

    /// The upstream output a parameter takes, and whose it is.
    fn output<'a>(
        &'a self,
        source: &NamedSource,
        scope: &'a dyn Scope,
    ) -> Option<(&'a Operation, Output<'a>)> {
        let position = self.position(source.upstream?)?;
        let result = scope.result(position)?;
        let output = if source.whole {
            Output::Whole(result)
        } else {
            let value = result.value().get_attr(&source.parameter).ok()?;
            if value.is_undefined() {
                return None;
            }
            Output::Field(value)
        };
        Some((self.operation(position), output))
    }
}

enum Output<'a> {
    Whole(&'a Json),
    Field(minijinja::Value),
}

fn given(arguments: &[(String, Argument)], scope: &dyn Scope) -> Result<Bound, BindError> {
    let mut assembly = Assembly::default();
    for (name, argument) in arguments {
        assembly.add(name, &explanation(argument), |out| {
            argument.push(out, scope)
        })?;
    }
    assembly.finish()
}

/// Where a given argument comes from, in words.
fn explanation(argument: &Argument) -> String {
    const SHOWN: usize = 5;
    let expressions = argument.expressions();
    if expressions.is_empty() {
        return "given in the flow".to_owned();
    }
    let shown: Vec<String> = expressions
        .iter()
        .take(SHOWN)
        .map(|expression| format!("`{{{{ {} }}}}`", shortened(expression.source(), 200)))
        .collect();
    let more = match expressions.len().saturating_sub(SHOWN) {
        0 => String::new(),
        more => format!(" and {more} more"),
    };
    format!("from {}{more}", shown.join(", "))
}

/// Arguments and their explanations as they grow.
#[derive(Default)]
struct Assembly {
    arguments: Bounded,
    parameters: String,
}

impl Assembly {
    /// Adds an argument whose value `push` appends.
    fn add(
        &mut self,
        name: &str,
        explanation: &str,
        push: impl FnOnce(&mut Bounded) -> Result<(), Trouble>,
    ) -> Result<(), BindError> {
        let out = &mut self.arguments;
        let name_text = quoted(name);
        let add = || {
            out.push(if out.len() == 0 { "{" } else { "," })?;
            out.push(&name_text)?;
            out.push(":")?;
            let start = out.len();
            push(out)?;
            Ok(start)
        };
        let start = add().map_err(|trouble| failed(&argument(name), trouble))?;
        explain(
            &mut self.parameters,
            &name_text,
            self.arguments.since(start),
            explanation,
        );
        Ok(())
    }

    /// Notes a parameter that gets no value.
    fn leave_out(&mut self, name: &str) {
        explain(
            &mut self.parameters,
            &quoted(name),
            "null",
            "left out: optional",
        );
    }

    fn finish(mut self) -> Result<Bound, BindError> {
        let end = if self.arguments.len() == 0 { "{}" } else { "}" };
        self.arguments
            .push(end)
            .map_err(|trouble| failed("arguments", trouble))?;
        Ok(Bound {
            arguments: Json::trusted(self.arguments.into_string()),
            prep_answer: Json::trusted(format!("{{\"parameters\":[{}]}}", self.parameters)),
        })
    }
}

fn explain(parameters: &mut String, name: &str, value: &str, explanation: &str) {
    if !parameters.is_empty() {
        parameters.push(',');
    }
    parameters.push_str(&format!(
        "{{\"name\":{name},\"value\":{value},\"explanation\":"
    ));
    parameters.push_str(&quoted(explanation));
    parameters.push('}');
}

fn argument(name: &str) -> String {
    format!("argument `{name}`")
}

fn failed(what: &str, trouble: Trouble) -> BindError {
    match trouble {
        Trouble::Bad(reason) => BindError {
            kind: "binding",
            message: format!("{what}: {reason}"),
        },
        Trouble::TooLarge => BindError {
            kind: "arguments_too_large",
            message: format!("{what}: the arguments take more than {MAX_BYTES} bytes"),
        },
    }
}
