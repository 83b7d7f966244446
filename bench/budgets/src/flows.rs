//! A posted flow is checked; a checked one becomes the plan of a run, with its hash.

use std::hint::black_box;
use std::sync::Arc;

use neena_engine::approval::Policy;
use neena_engine::flow::{
    Catalogue, Definition, DependencySpec, Flow, FlowSpec, Kind, OperationSpec, Parameter, Retry,
    TriggerRule,
};
use neena_engine::ids::TaskDefinitionId;
use neena_engine::plan::{Graph, Head, PLAN_V, Plan, RequestCopy};
use serde_json::{Map, Value, json};
use uuid::Uuid;

use crate::Walk;

const COPY: TaskDefinitionId = TaskDefinitionId(Uuid::from_u128(2));

/// Operations of a layer, each of which depends on two of the layer before it.
const LAYER: u32 = 10;

/// Checks a flow of so many operations.
pub fn validate(operations: u32) -> Walk {
    let (spec, catalogue) = (spec(operations), catalogue());
    let mut kept = Vec::new();
    Box::new(move || {
        // As it is posted: the check takes it apart.
        let flow = Flow::check(black_box(spec.clone()), &catalogue);
        kept.push(flow.expect("a flow without fault"));
    })
}

/// Makes the plan of a run of a flow of so many operations.
pub fn plan(operations: u32) -> Walk {
    let flow = Flow::check(spec(operations), &catalogue()).expect("a flow without fault");
    let mut kept = Vec::new();
    Box::new(move || kept.push(plan_of(black_box(&flow))))
}

fn plan_of(flow: &Flow) -> Plan {
    let graph = flow.graph().expect("a checked flow has a graph");
    let head = head(&graph, json!({"who": "world", "since": "2026-02-22"}));
    Plan::make(Arc::new(graph), head).expect("a request that fits")
}

/// The head of a plan of `graph`.
pub fn head(graph: &Graph, metadata: Value) -> Head {
    Head {
        v: PLAN_V,
        organization: Uuid::from_u128(1),
        flow: Uuid::from_u128(3),
        flow_name: "A flow".to_owned(),
        flow_version: 1,
        graph: graph.hash(),
        request: RequestCopy {
            instructions: "Copy what was changed since then".to_owned(),
            name: None,
            metadata: metadata.as_object().cloned().unwrap_or_default().into(),
        },
        triggered_by: "ada@example.com".to_owned(),
        requester: Some(Uuid::from_u128(4)),
        author: None,
        policy: Policy::quorum(1),
    }
}

/// A flow in layers, whose tasks take what the tasks before them gave.
pub fn spec(operations: u32) -> FlowSpec {
    let mut spec = FlowSpec {
        name: "Budget".to_owned(),
        ..FlowSpec::default()
    };
    for index in 0..operations {
        let inputs = inputs(index);
        let path = match inputs.first() {
            Some(input) => format!("{{{{ tasks.task_{input}.result.path }}}}/{index}"),
            None => format!("/data/{index}"),
        };
        spec.task_operations.push(OperationSpec {
            name: format!("Task {index}"),
            task_definition: COPY,
            index,
            instruction: Some("Do what the task does, and do it well".to_owned()),
            arguments: Some(Map::from_iter([("path".to_owned(), path.into())])),
            when: None,
            trigger_rule: TriggerRule::AllSuccess,
            retry: Retry::NONE,
            timeout_ms: None,
            approval: None,
        });
        spec.dependencies
            .extend(inputs.into_iter().map(|input| DependencySpec {
                source_task_operation: input,
                target_task_operation: index,
                instruction: None,
            }));
    }
    spec
}

fn inputs(index: u32) -> Vec<u32> {
    match index.checked_sub(LAYER) {
        None => Vec::new(),
        Some(above) => vec![above, above / LAYER * LAYER + (above + 7) % LAYER],
    }
}

pub fn catalogue() -> Catalogue {
    let parameter = |(position, name): (u32, &str)| Parameter {
        name: name.to_owned(),
        data_type: "string".to_owned(),
        position,
        doc_string: Some("Where the file is".to_owned()),
        optional: position > 1,
    };
    let definition = Definition {
        id: COPY,
        name: "Copy a file".to_owned(),
        integration: "files".to_owned(),
        kind: Kind::Python,
        method: "copy".to_owned(),
        code_digest: "0".repeat(64),
        pure: false,
        repeatable: true,
        takes_any: false,
        parameters: (1..).zip(["path", "mode"]).map(parameter).collect(),
        outputs: (1..).zip(["path", "size"]).map(parameter).collect(),
    };
    [(COPY, Arc::new(definition))].into_iter().collect()
}
