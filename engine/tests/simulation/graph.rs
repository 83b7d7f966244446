//! Random plans.

use std::collections::BTreeMap;
use std::sync::Arc;

use neena_engine::approval::{OnExpiry, Policy};
use neena_engine::flow::{Backoff, Kind, OnFailure, Retry, TriggerRule};
use neena_engine::ids::RunId;
use neena_engine::plan::{
    Arguments, Gate, Graph, GraphBody, Head, Operation, PLAN_V, Plan, RequestCopy,
};
use proptest::prelude::*;
use serde_json::{Map, Value};
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
    /// Its gate, and what becomes of it.
    pub gate: Option<People>,
}

/// What people do at a gate, whenever they come to it.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum People {
    /// So many approve, as many as it takes.
    Approve(u32),
    Reject,
    /// Nobody answers in time.
    Silent(OnExpiry),
}

impl People {
    /// How long may be answered where nobody does, and when that is said.
    const EXPIRES_MS: u64 = 3_600_000;

    pub fn policy(self) -> Policy {
        match self {
            People::Approve(count) => Policy::quorum(count),
            People::Reject => Policy::quorum(2),
            People::Silent(on_expiry) => Policy {
                expires_in_ms: Some(People::EXPIRES_MS),
                remind_before_ms: vec![People::EXPIRES_MS / 2],
                on_expiry,
                ..Policy::quorum(1)
            },
        }
    }
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
    let gate = match mood {
        Mood::Healthy => prop_oneof![
            12 => Just(None),
            2 => (1u32..3).prop_map(|count| Some(People::Approve(count))),
            1 => Just(Some(People::Silent(OnExpiry::Approve))),
        ]
        .boxed(),
        Mood::Faulty => prop_oneof![
            24 => Just(None),
            4 => (1u32..3).prop_map(|count| Some(People::Approve(count))),
            1 => Just(Some(People::Silent(OnExpiry::Approve))),
            1 => Just(Some(People::Silent(OnExpiry::Reject))),
            1 => Just(Some(People::Silent(OnExpiry::Escalate))),
            1 => Just(Some(People::Reject)),
        ]
        .boxed(),
    };
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
        gate,
    )
        .prop_map(
            move |(pure, repeatable, failures, fatal, delay_ms, rule, when, inputs, gate)| Node {
                pure,
                repeatable,
                failures,
                fatal,
                max_attempts: failures + 1,
                delay_ms,
                rule,
                when,
                inputs,
                gate,
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
            self.operation(at)
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

impl Case {
    /// Each task is given the answers of its own gate and of its inputs' gates.
    fn operation(&self, at: usize) -> Operation {
        let node = &self.nodes[at];
        let inputs = node.inputs.iter().filter_map(|back| at.checked_sub(*back));
        let arguments = inputs
            .chain([at])
            .filter(|at| self.nodes[*at].gate.is_some());
        let arguments = arguments.map(|at| {
            let answer = format!("{{{{ gates.task_{at} | default(none) }}}}");
            (format!("gate_{at}"), Value::from(answer))
        });
        Operation {
            index: at as u32,
            name: format!("task {at}"),
            instruction: None,
            definition: Uuid::nil(),
            integration: "core".into(),
            kind: Kind::BuiltIn,
            method: "core.echo".into(),
            code_digest: "core.echo@1".into(),
            pure: node.pure,
            repeatable: node.repeatable,
            parameters: Vec::new(),
            arguments: Arguments::Given(arguments.collect::<BTreeMap<_, _>>()),
            when: (!node.when).then(|| "false".to_owned()),
            trigger_rule: node.rule,
            retry: Retry {
                max_attempts: node.max_attempts,
                delay_ms: node.delay_ms,
                backoff: Backoff::Constant,
                max_delay_ms: node.delay_ms,
            },
            timeout_ms: None,
            approval: node.gate.map(|people| Gate {
                policy: people.policy(),
                input: None,
            }),
        }
    }
}
