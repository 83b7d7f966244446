//! A plan made anew because the code behind it has moved on.

use std::collections::HashMap;
use std::sync::Arc;

use super::{Arguments, Graph, GraphBody, Operation, Plan};
use crate::Fault;
use crate::flow::{Catalogue, DependencySpec, Flow, FlowSpec, OperationSpec};
use crate::ids::TaskDefinitionId;
use crate::loc;

impl Plan {
    /// The plan with the code that `catalogue` has now, for what is not `done`: an operation that ended keeps what it
    /// ran with. None where nothing of that has changed. Everything else is as it was: the flow, the request, who
    /// asked, and the policies. The faults say why the flow does not fit the catalogue any more, located in the flow.
    pub fn renewed(
        &self,
        catalogue: &Catalogue,
        done: impl Fn(u32) -> bool,
    ) -> Result<Option<Plan>, Vec<Fault>> {
        let body = self.graph.body();
        let moved = |operation: &Operation| {
            let known = catalogue.get(&TaskDefinitionId(operation.definition));
            known.is_none_or(|known| known.code_digest != operation.code_digest)
        };
        let open = |operation: &&Operation| !done(operation.index);
        if !body.operations.iter().filter(open).any(moved) {
            return Ok(None);
        }
        let flow = Flow::check(spec(body), catalogue)?;
        let mut fresh = flow.body().clone();
        let ended: HashMap<u32, &Operation> = body
            .operations
            .iter()
            .filter(|operation| done(operation.index))
            .map(|operation| (operation.index, operation))
            .collect();
        for operation in &mut fresh.operations {
            if let Some(ended) = ended.get(&operation.index) {
                operation.clone_from(ended);
            }
        }
        let graph = Graph::new(&fresh)
            .map_err(|error| vec![Fault::new(loc!["flow"], "value_error", error.to_string())])?;
        Plan::make(Arc::new(graph), self.head.clone()).map(Some)
    }
}

/// What the flow of a plan was checked from, as far as it matters.
fn spec(body: &GraphBody) -> FlowSpec {
    let operation = |operation: &Operation| OperationSpec {
        name: operation.name.clone(),
        task_definition: TaskDefinitionId(operation.definition),
        index: operation.index,
        instruction: operation.instruction.clone(),
        arguments: match &operation.arguments {
            Arguments::Given(arguments) => Some(arguments.clone().into_iter().collect()),
            Arguments::ByName(_) => None,
        },
        when: operation.when.clone(),
        trigger_rule: operation.trigger_rule,
        retry: operation.retry,
        timeout_ms: operation.timeout_ms,
        approval: operation.approval.clone(),
    };
    let dependency = |&(source, target): &(u32, u32)| DependencySpec {
        source_task_operation: source,
        target_task_operation: target,
        instruction: None,
    };
    FlowSpec {
        name: "renewed".to_owned(),
        task_operations: body.operations.iter().map(operation).collect(),
        dependencies: body.edges.iter().map(dependency).collect(),
        on_failure: body.on_failure,
        timeout_ms: body.timeout_ms,
    }
}
