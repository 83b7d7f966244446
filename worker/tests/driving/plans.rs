//! Plans of scripted steps, and who decides about them.

use std::sync::Arc;

use neena_engine::approval::{Policy, Subject};
use neena_engine::flow::{Backoff, Kind, OnFailure, Retry, TriggerRule};
use neena_engine::ids::UserId;
use neena_engine::plan::{
    Arguments, Gate, Graph, GraphBody, Head, Operation, PLAN_V, Plan, RequestCopy,
};
use neena_engine::run::{Actor, Decision, Say, TaskKey};
use serde_json::{Map, Value};
use uuid::Uuid;

use crate::scripted::DIGEST;

/// One step of a flow: what it does, and what it waits for.
pub struct Step {
    pub method: &'static str,
    pub inputs: &'static [u32],
    pub repeatable: bool,
    pub attempts: u32,
    pub delay_ms: u64,
    /// What it is called with: `x`, an expression or none.
    pub x: Option<&'static str>,
    /// What its gate asks for, if it has one.
    pub gate: Option<Policy>,
}

/// A repeatable step with one attempt.
pub fn step(method: &'static str, inputs: &'static [u32]) -> Step {
    Step {
        method,
        inputs,
        repeatable: true,
        attempts: 1,
        delay_ms: 0,
        x: None,
        gate: None,
    }
}

/// The same step behind a gate that one person opens.
pub fn gated(step: Step) -> Step {
    Step {
        gate: Some(Policy::quorum(1)),
        ..step
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

/// What somebody says about the gate of a step.
pub fn about(index: u32) -> Say {
    Say {
        on: gate(index),
        ..Say::of_run(actor(), None)
    }
}

/// The gate of a step.
pub fn gate(index: u32) -> Subject {
    Subject::Gate(TaskKey { index, item: None })
}

pub fn plan(steps: &[Step], timeout_ms: Option<u64>) -> Arc<Plan> {
    plan_that(OnFailure::Stop, steps, timeout_ms)
}

/// A plan that says what becomes of the rest when a task fails.
pub fn plan_that(on_failure: OnFailure, steps: &[Step], timeout_ms: Option<u64>) -> Arc<Plan> {
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
        on_failure,
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
        arguments: Arguments::Given(
            step.x
                .map(|x| ("x".to_owned(), Value::from(x)))
                .into_iter()
                .collect(),
        ),
        when: None,
        trigger_rule: TriggerRule::AllSuccess,
        retry: Retry {
            max_attempts: step.attempts,
            delay_ms: step.delay_ms,
            backoff: Backoff::Constant,
            max_delay_ms: step.delay_ms,
        },
        timeout_ms: None,
        approval: step.gate.clone().map(|policy| Gate {
            policy,
            input: None,
        }),
    }
}
