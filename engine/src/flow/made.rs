//! A flow without fault, put together.

use std::collections::HashMap;
use std::sync::Arc;

use super::{Definition, Flow, FlowSpec, OperationSpec};
use crate::plan::{Arguments, Declared, GraphBody, NamedSource, Operation, PLAN_V};

/// The flow of a specification in which no fault was found; `order` holds all its places.
pub(super) fn flow(
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
        parameters: definition
            .in_order()
            .into_iter()
            .map(|known| Declared {
                name: known.name.clone(),
                data_type: known.data_type.clone(),
            })
            .collect(),
        arguments: match operation.arguments {
            Some(arguments) => Arguments::Given(arguments.into_iter().collect()),
            None => Arguments::ByName(sources),
        },
        when: operation.when,
        trigger_rule: operation.trigger_rule,
        retry: operation.retry,
        timeout_ms: operation.timeout_ms,
        approval: operation.approval,
    }
}
