//! Random plans.

use std::collections::BTreeMap;
use std::sync::Arc;

use neena_engine::approval::Policy;
use neena_engine::flow::{Backoff, Kind, OnFailure, Retry, TriggerRule};
use neena_engine::ids::RunId;
use neena_engine::plan::Operation;
use neena_engine::plan::{Arguments, Graph, GraphBody, Head, PLAN_V, Plan, RequestCopy};
use proptest::prelude::*;
use serde_json::Map;
use uuid::Uuid;

/// What a task does, attempt by attempt: fails so often, then succeeds.
#[derive(Clone, Debug)]
pub struct Node {
    pub pure: bool,
    pub repeatable: bool,
    pub failures: u32,
    pub fatal: bool,
    pub max_attempts: u32,
    pub delay_ms: u64,
    pub rule: TriggerRule,
    pub when: bool,
    /// Inputs, as offsets backwards; those that fall off the start are left out.
    pub inputs: Vec<usize>,
}

#[derive(Clone, Debug)]
pub struct Case {
    pub nodes: Vec<Node>,
    pub on_failure: OnFailure,
    pub seed: u64,
}

/// How a case may go wrong.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Mood {
    /// Every task completes in the end.
    Healthy,
    /// Tasks fail for good, too.
    Faulty,
}

pub fn case(most: usize, mood: Mood) -> impl Strategy<Value = Case> {
    let policy = prop_oneof![Just(OnFailure::Stop), Just(OnFailure::Continue)];
    (
        prop::collection::vec(node(mood), 1..most),
        policy,
        any::<u64>(),
    )
        .prop_map(|(nodes, on_failure, seed)| Case {
            nodes,
            on_failure,
            seed,
        })
}

fn node(mood: Mood) -> impl Strategy<Value = Node> {
    let rule = prop_oneof![
        5 => Just(TriggerRule::AllSuccess),
        1 => Just(TriggerRule::AllDone),
        1 => Just(TriggerRule::AnySuccess),
        1 => Just(TriggerRule::NoneFailed),
    ];
    let fatal = if mood == Mood::Faulty { 0.1 } else { 0.0 };
    (
        prop::bool::ANY,
        prop::bool::weighted(if mood == Mood::Faulty { 0.8 } else { 1.0 }),
        prop_oneof![4 => Just(0u32), 1 => 1u32..3],
        prop::bool::weighted(fatal),
        prop_oneof![Just(0u64), Just(50), Just(60_000)],
        rule,
        prop::bool::weighted(0.9),
        prop::collection::vec(1usize..12, 0..4),
    )
        .prop_map(
            move |(pure, repeatable, failures, fatal, delay_ms, rule, when, inputs)| Node {
                pure,
                repeatable,
                failures,
                fatal,
                max_attempts: failures + 1,
                delay_ms,
                rule,
                when,
                inputs,
            },
        )
}

impl Case {
    pub fn plan(&self) -> Arc<Plan> {
        let mut edges = Vec::new();
        let operations = self.nodes.iter().enumerate().map(|(at, node)| {
            for back in &node.inputs {
                if let Some(source) = at.checked_sub(*back) {
                    edges.push((source as u32, at as u32));
                }
            }
            node.operation(at)
        });
        let operations = operations.collect();
        edges.sort_unstable();
        edges.dedup();
        let body = GraphBody {
            v: PLAN_V,
            operations,
            edges,
            on_failure: self.on_failure,
            timeout_ms: None,
        };
        let graph = Arc::new(Graph::new(&body).unwrap());
        let head = Head {
            v: PLAN_V,
            organization: Uuid::nil(),
            flow: Uuid::nil(),
            flow_name: "simulated".into(),
            flow_version: 1,
            graph: graph.hash(),
            request: RequestCopy {
                instructions: "simulate".into(),
                name: None,
                metadata: Map::new().into(),
            },
            triggered_by: "someone@example.com".into(),
            requester: None,
            author: None,
            policy: Policy::quorum(1),
        };
        let hash = neena_engine::Hash::of(head.text().unwrap().as_bytes());
        Arc::new(Plan { hash, head, graph })
    }

    pub fn run(&self) -> RunId {
        RunId(Uuid::from_u128(u128::from(self.seed)))
    }
}

impl Node {
    fn operation(&self, at: usize) -> Operation {
        Operation {
            index: at as u32,
            name: format!("task {at}"),
            instruction: None,
            definition: Uuid::nil(),
            integration: "core".into(),
            kind: Kind::BuiltIn,
            method: "core.echo".into(),
            code_digest: "core.echo@1".into(),
            pure: self.pure,
            repeatable: self.repeatable,
            parameters: Vec::new(),
            arguments: Arguments::Given(BTreeMap::new()),
            when: (!self.when).then(|| "false".to_owned()),
            trigger_rule: self.rule,
            retry: Retry {
                max_attempts: self.max_attempts,
                delay_ms: self.delay_ms,
                backoff: Backoff::Constant,
                max_delay_ms: self.delay_ms,
            },
            timeout_ms: None,
            approval: None,
        }
    }
}
