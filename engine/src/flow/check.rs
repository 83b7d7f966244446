//! The check of a posted flow: every fault at once, or a [`Flow`].

use std::collections::HashMap;
use std::sync::Arc;

use serde_json::{Map, Value};

use super::faults::Faults;
use super::references::{Reference, Site};
use super::{
    Catalogue, Definition, EXPRESSION, Flow, FlowSpec, MAX_DEPENDENCIES, MAX_OPERATIONS,
    OperationSpec, by_name, cycles, edges, order, references,
};
use crate::binding::{Argument, Flaw, condition};
use crate::plan::{Arguments, Declared, GraphBody, NamedSource, Operation, PLAN_V};
use crate::{Fault, Loc, loc};

/// The largest index.
const MAX_INDEX: u32 = i32::MAX as u32;

impl Flow {
    /// Checks a flow against the definitions it names. `catalogue` holds at least those that exist.
    /// Locations start at the body's root. The work grows with operations and dependencies, not with
    /// their product, and never recurses along them.
    pub fn check(spec: FlowSpec, catalogue: &Catalogue) -> Result<Flow, Vec<Fault>> {
        let mut faults = Faults::default();
        sizes(&spec, &mut faults);
        std::mem::take(&mut faults).finish()?;

        let places = places(&spec, &mut faults);
        let mut definitions = Vec::with_capacity(spec.task_operations.len());
        let mut found = Vec::new();
        for (at, operation) in spec.task_operations.iter().enumerate() {
            let definition = catalogue.get(&operation.task_definition);
            operation_itself(at, operation, definition, &mut found, &mut faults);
            definitions.push(definition);
        }
        let shape = edges::shape(&spec, &places, &mut faults);
        let components = cycles::components(&shape);
        let acyclic = !cycles::report(&spec, &shape, &components, &mut faults);
        let locate = |reference: &Reference| locate(&spec, &definitions, reference);
        references::check(&spec, &found, &shape, &components, locate, &mut faults);
        let order = if acyclic {
            order::order(&spec, &shape)
        } else {
            Vec::new()
        };
        let sources = by_name::sources(&spec, &definitions, &shape, &order, &mut faults);
        faults.finish()?;
        Ok(made(spec, &definitions, &order, sources))
    }
}

fn sizes(spec: &FlowSpec, faults: &mut Faults) {
    let lists = [
        (
            "task_operations",
            spec.task_operations.len(),
            MAX_OPERATIONS,
        ),
        ("dependencies", spec.dependencies.len(), MAX_DEPENDENCIES),
    ];
    for (field, len, most) in lists {
        if len > most {
            faults.add(|| {
                Fault::new(
                    loc![field],
                    "too_many",
                    format!("{len} are too many: at most {most}"),
                )
            });
        }
    }
    if spec.timeout_ms == Some(0) {
        faults.add(|| out_of_range(loc!["timeout_seconds"], "a timeout is more than 0 seconds"));
    }
}

/// The place of each index in the list of operations.
fn places(spec: &FlowSpec, faults: &mut Faults) -> HashMap<u32, u32> {
    let mut places = HashMap::with_capacity(spec.task_operations.len());
    for (place, operation) in (0u32..).zip(&spec.task_operations) {
        let index = operation.index;
        let at = || loc!["task_operations", place as usize, "index"];
        if index > MAX_INDEX {
            faults.add(|| out_of_range(at(), &format!("an index is at most {MAX_INDEX}")));
        }
        if let Some(&first) = places.get(&index) {
            faults.add(|| {
                let msg = format!(
                    "the index {index} is `{}`'s already",
                    spec.shown_name(first)
                );
                Fault::new(at(), "duplicate_index", msg)
            });
        } else {
            places.insert(index, place);
        }
    }
    places
}

/// Whatever can be said of an operation without looking at the others. Its references go to `found`.
fn operation_itself(
    at: usize,
    operation: &OperationSpec,
    definition: Option<&Arc<Definition>>,
    found: &mut Vec<Reference>,
    faults: &mut Faults,
) {
    let field = |name: &str| loc!["task_operations", at, name];
    if definition.is_none() {
        faults.add(|| {
            let msg = format!("there is no task definition {}", operation.task_definition);
            Fault::new(field("task_definition"), "unknown_task_definition", msg)
        });
    }
    if operation.retry.max_attempts == 0 {
        let loc = || loc!["task_operations", at, "retry", "max_attempts"];
        faults.add(|| out_of_range(loc(), "the first attempt counts: at least 1"));
    }
    if operation.timeout_ms == Some(0) {
        faults.add(|| out_of_range(field("timeout_seconds"), "a timeout is more than 0 seconds"));
    }
    if let Some(when) = &operation.when {
        match condition(when) {
            Ok(when) => found.extend(when.tasks().map(|key| Reference {
                place: at as u32,
                key: key.to_owned(),
                site: Site::When,
            })),
            Err(reason) => faults.add(|| Fault::new(field("when"), "bad_expression", reason)),
        }
    }
    if let Some(arguments) = &operation.arguments {
        check_arguments(at, arguments, definition, found, faults);
    }
}

fn check_arguments(
    at: usize,
    arguments: &Map<String, Value>,
    definition: Option<&Arc<Definition>>,
    found: &mut Vec<Reference>,
    faults: &mut Faults,
) {
    let place = |name: &str| loc!["task_operations", at, "arguments", name];
    for (name, value) in arguments {
        if let Some(definition) = definition
            && !definition.takes_any
            && definition.parameter(name).is_none()
        {
            faults.add(|| Fault::new(place(name), "unknown_argument", unknown(name, definition)));
        }
        let mut flaws = Vec::new();
        let argument = read(name, value, definition, &mut flaws);
        for flaw in flaws {
            faults.add(|| {
                Fault::new(
                    [place(name), flaw.loc].concat(),
                    "bad_expression",
                    flaw.reason,
                )
            });
        }
        argument.each(&mut |expression| {
            found.extend(expression.tasks().map(|key| Reference {
                place: at as u32,
                key: key.to_owned(),
                site: Site::Argument(name.clone()),
            }));
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
                Fault::new(place(name), "missing_argument", msg)
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

/// The exact place of a reference that is at fault.
fn locate(
    spec: &FlowSpec,
    definitions: &[Option<&Arc<Definition>>],
    reference: &Reference,
) -> Vec<Loc> {
    let place = reference.place as usize;
    let within = match (&reference.site, &spec.task_operations[place].arguments) {
        (Site::Argument(name), Some(arguments)) => arguments.get(name).and_then(|value| {
            read(name, value, definitions[place], &mut Vec::new()).find(&reference.key)
        }),
        _ => None,
    };
    [reference.field(), within.unwrap_or_default()].concat()
}

fn out_of_range(loc: Vec<Loc>, msg: &str) -> Fault {
    Fault::new(loc, "out_of_range", msg)
}

/// Puts a flow without fault together.
fn made(
    spec: FlowSpec,
    definitions: &[Option<&Arc<Definition>>],
    order: &[u32],
    mut sources: HashMap<u32, Vec<NamedSource>>,
) -> Flow {
    let mut edges: Vec<(u32, u32)> = spec
        .dependencies
        .iter()
        .map(|dependency| {
            (
                dependency.source_task_operation,
                dependency.target_task_operation,
            )
        })
        .collect();
    edges.sort_unstable();
    let mut posted: Vec<Option<OperationSpec>> =
        spec.task_operations.into_iter().map(Some).collect();
    let operations = order
        .iter()
        .filter_map(|&place| {
            let definition = definitions[place as usize]?;
            let operation = posted[place as usize].take()?;
            Some(planned(
                operation,
                definition,
                sources.remove(&place).unwrap_or_default(),
            ))
        })
        .collect();
    let (on_failure, timeout_ms) = (spec.on_failure, spec.timeout_ms);
    Flow {
        name: spec.name,
        body: GraphBody {
            v: PLAN_V,
            operations,
            edges,
            on_failure,
            timeout_ms,
        },
    }
}

fn planned(
    operation: OperationSpec,
    definition: &Definition,
    sources: Vec<NamedSource>,
) -> Operation {
    let mut parameters: Vec<_> = definition.parameters.iter().collect();
    parameters.sort_by_key(|parameter| parameter.position);
    let declared = |name: &str, data_type: &str| Declared {
        name: name.to_owned(),
        data_type: data_type.to_owned(),
    };
    Operation {
        index: operation.index,
        name: operation.name,
        instruction: operation.instruction,
        definition: operation.task_definition.into(),
        integration: definition.integration.clone(),
        kind: definition.kind,
        method: definition.method.clone(),
        code_digest: definition.code_digest.clone(),
        pure: definition.pure,
        repeatable: definition.repeatable,
        parameters: parameters
            .iter()
            .map(|known| declared(&known.name, &known.data_type))
            .collect(),
        arguments: match operation.arguments {
            Some(arguments) => Arguments::Given(arguments.into_iter().collect()),
            None => Arguments::ByName(sources),
        },
        when: operation.when,
        trigger_rule: operation.trigger_rule,
        retry: operation.retry,
        timeout_ms: operation.timeout_ms,
    }
}
