//! A plan of built-in tasks without dependencies.

use std::collections::BTreeMap;
use std::sync::Arc;

use neena_engine::Hash;
use neena_engine::approval::Policy;
use neena_engine::flow::{Kind, OnFailure, Retry, TriggerRule};
use neena_engine::plan::{
    Arguments, Gate, Graph, GraphBody, Head, Operation, PLAN_V, Plan, RequestCopy,
};
use serde_json::Map;
use uuid::Uuid;

/// A plan of `tasks` tasks that takes `quorum` approvals.
pub fn plan(organization: Uuid, tasks: u32, quorum: u32) -> Arc<Plan> {
    plan_with(
        organization,
        "someone@example.com",
        tasks,
        Policy::quorum(quorum),
        &[],
    )
}

/// A plan of `tasks` tasks asked for `by` somebody, that asks as `policy` says, with gates before some of them.
pub fn plan_with(
    organization: Uuid,
    by: &str,
    tasks: u32,
    policy: Policy,
    gates: &[(u32, Policy)],
) -> Arc<Plan> {
    let mut operations: Vec<Operation> = (0..tasks).map(operation).collect();
    for (index, policy) in gates {
        operations[*index as usize].approval = Some(Gate {
            policy: policy.clone(),
            input: None,
        });
    }
    let body = GraphBody {
        v: PLAN_V,
        operations,
        edges: Vec::new(),
        on_failure: OnFailure::Continue,
        timeout_ms: Some(60_000),
    };
    let graph = Arc::new(Graph::new(&body).unwrap());
    let head = Head {
        v: PLAN_V,
        organization,
        flow: Uuid::from_u128(7),
        flow_name: "tested".into(),
        flow_version: 1,
        graph: graph.hash(),
        request: RequestCopy {
            instructions: "test the store".into(),
            name: None,
            metadata: Map::new().into(),
        },
        triggered_by: by.into(),
        requester: None,
        author: None,
        policy,
    };
    let hash = Hash::of(head.text().unwrap().as_bytes());
    Arc::new(Plan { hash, head, graph })
}

fn operation(index: u32) -> Operation {
    Operation {
        index,
        name: format!("task {index}"),
        instruction: None,
        definition: Uuid::nil(),
        integration: "core".into(),
        kind: Kind::BuiltIn,
        method: "core.echo".into(),
        code_digest: "core.echo@1".into(),
        pure: false,
        repeatable: true,
        parameters: Vec::new(),
        arguments: Arguments::Given(BTreeMap::new()),
        when: None,
        trigger_rule: TriggerRule::AllSuccess,
        retry: Retry::NONE,
        timeout_ms: None,
        approval: None,
    }
}
