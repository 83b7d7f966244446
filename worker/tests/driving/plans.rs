//! Plans of scripted steps, and who decides about them.

use std::collections::BTreeMap;
use std::sync::Arc;

use neena_engine::approval::Policy;
use neena_engine::flow::{Backoff, Kind, OnFailure, Retry, TriggerRule};
use neena_engine::ids::UserId;
use neena_engine::plan::{Arguments, Graph, GraphBody, Head, Operation, PLAN_V, Plan, RequestCopy};
use neena_engine::run::{Actor, Decision, Say};
use serde_json::Map;
use uuid::Uuid;

use crate::scripted::DIGEST;

/// One step of a flow: what it does, and what it waits for.
pub struct Step {
    pub method: &'static str,
    pub inputs: &'static [u32],
    pub repeatable: bool,
    pub attempts: u32,
    pub delay_ms: u64,
}

/// A repeatable step with one attempt.
pub fn step(method: &'static str, inputs: &'static [u32]) -> Step {
    Step {
        method,
        inputs,
        repeatable: true,
        attempts: 1,
        delay_ms: 0,
    }
}

pub fn actor() -> Actor {
    Actor {
        user: UserId(Uuid::from_u128(7)),
        email: "someone@example.com".into(),
        permissions: vec!["approve".into()],
        way: "test",
    }
}

pub fn approve() -> Decision {
    Decision::Approve(Say::of_run(actor(), None))
}

pub fn plan(steps: &[Step], timeout_ms: Option<u64>) -> Arc<Plan> {
    let operations = (0u32..)
        .zip(steps)
        .map(|(index, step)| operation(index, step));
    let edges = (0u32..)
        .zip(steps)
        .flat_map(|(index, step)| step.inputs.iter().map(move |input| (*input, index)));
    let mut edges: Vec<(u32, u32)> = edges.collect();
    edges.sort_unstable();
    let body = GraphBody {
        v: PLAN_V,
        operations: operations.collect(),
        edges,
        on_failure: OnFailure::Stop,
        timeout_ms,
    };
    let graph = Arc::new(Graph::new(&body).unwrap());
    let head = Head {
        v: PLAN_V,
        organization: Uuid::nil(),
        flow: Uuid::nil(),
        flow_name: "test".into(),
        flow_version: 1,
        graph: graph.hash(),
        request: RequestCopy {
            instructions: "run it".into(),
            name: None,
            metadata: Map::new().into(),
        },
        triggered_by: "someone@example.com".into(),
        requester: None,
        author: None,
        policy: Policy::quorum(1),
    };
    Arc::new(Plan::make(graph, head).unwrap())
}

fn operation(index: u32, step: &Step) -> Operation {
    Operation {
        index,
        name: format!("step {index}"),
        instruction: None,
        definition: Uuid::nil(),
        integration: "scripted".into(),
        kind: Kind::Python,
        method: step.method.into(),
        code_digest: DIGEST.into(),
        pure: false,
        repeatable: step.repeatable,
        parameters: Vec::new(),
        arguments: Arguments::Given(BTreeMap::new()),
        when: None,
        trigger_rule: TriggerRule::AllSuccess,
        retry: Retry {
            max_attempts: step.attempts,
            delay_ms: step.delay_ms,
            backoff: Backoff::Constant,
            max_delay_ms: step.delay_ms,
        },
        timeout_ms: None,
        approval: None,
    }
}
