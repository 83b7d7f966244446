//! Random flows: what each task does, the plan of a run, and what its results must be.

use std::collections::BTreeMap;
use std::sync::Arc;

use neena_engine::approval::Policy;
use neena_engine::flow::{Backoff, Kind, OnFailure, Retry, TriggerRule};
use neena_engine::plan::{
    Arguments, Gate, Graph, GraphBody, Head, Operation, PLAN_V, Plan, RequestCopy, canonical,
};
use neena_engine::run::{TaskRow, TaskStatus};
use serde_json::{Map, Value, json};
use uuid::Uuid;

use crate::dice::Dice;
use crate::gates;

/// The digest of the code that is scripted here.
pub(crate) const DIGEST: &str = "scripted@1";

/// What a task does.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Act {
    /// Returns its arguments at once; built in.
    Echo,
    /// Returns something made of its arguments, after so many milliseconds.
    Work(u64),
    /// Fails in so many attempts, after so many milliseconds each.
    Fail { times: u32, after: u64 },
    /// Goes on until it is stopped.
    Hang,
    /// Brings the worker down.
    Poison,
}

/// A task operation of a flow.
#[derive(Clone, Debug)]
pub(crate) struct Step {
    pub act: Act,
    pub pure: bool,
    pub repeatable: bool,
    pub inputs: Vec<u32>,
    pub rule: TriggerRule,
    retry: Retry,
    timeout_ms: Option<u64>,
    wanted: bool,
    /// Whom its gate asks, if it has one.
    pub gate: Option<Policy>,
}

/// A flow and its plan.
#[derive(Debug)]
pub(crate) struct Flow {
    pub steps: Vec<Step>,
    pub quorum: u32,
    pub plan: Arc<Plan>,
}

impl Flow {
    /// A random one; its gates are of a luck of their own. `ahead`: tasks with an effect are planned as pure, which is a bug.
    pub fn random(dice: &Dice, luck: &Dice, ahead: bool) -> Result<Flow, String> {
        let len = dice.between(1, 8);
        let poisonous = dice.chance(40);
        let mut steps: Vec<Step> = (0..len).map(|at| step(dice, at)).collect();
        if poisonous && let Some(last) = steps.last_mut() {
            last.act = Act::Poison;
            last.pure = false;
        }
        let gates = gates::random(luck, steps.len());
        for (step, gate) in steps.iter_mut().zip(gates) {
            step.gate = gate;
        }
        let on_failure = match dice.chance(500) {
            true => OnFailure::Stop,
            false => OnFailure::Continue,
        };
        let timeout_ms = dice.chance(150).then(|| dice.between(3_000, 60_000));
        let quorum = if dice.chance(250) { 2 } else { 1 };
        let operations = (0u32..).zip(&steps);
        let operations = operations.map(|(index, step)| step.operation(index, ahead));
        let mut edges = Vec::new();
        for (target, step) in (0u32..).zip(&steps) {
            edges.extend(step.inputs.iter().map(|source| (*source, target)));
        }
        edges.sort_unstable();
        let body = GraphBody {
            v: PLAN_V,
            operations: operations.collect(),
            edges,
            on_failure,
            timeout_ms,
        };
        let graph = Graph::new(&body).map_err(|error| error.to_string())?;
        let plan = plan(Arc::new(graph), quorum)?;
        Ok(Flow {
            steps,
            quorum,
            plan,
        })
    }

    /// Whether it goes on until somebody cancels it.
    pub fn hangs(&self) -> bool {
        self.steps.iter().any(|step| step.act == Act::Hang)
    }

    /// Whether people are asked within it.
    pub fn asks(&self) -> bool {
        self.steps.iter().any(|step| step.gate.is_some())
    }

    /// What task `index` is called with, given the rows of its run and what its gates were answered.
    pub fn arguments(
        &self,
        index: u32,
        rows: &BTreeMap<u32, TaskRow>,
        answers: &BTreeMap<u32, Value>,
    ) -> Value {
        let mut arguments = Map::new();
        for input in &self.steps[index as usize].inputs {
            let row = rows
                .get(input)
                .filter(|row| row.status == TaskStatus::Completed);
            let result = row.and_then(|row| row.result.as_ref());
            let value = result.and_then(|result| serde_json::from_str(result.text()).ok());
            let value = value.unwrap_or_else(|| Value::from("absent"));
            arguments.insert(format!("in{input}"), value);
        }
        if self.steps[index as usize].gate.is_some() {
            let answer = answers.get(&index).cloned();
            let answer = answer.unwrap_or_else(|| Value::from("not approved"));
            arguments.insert("gate".to_owned(), answer);
        }
        arguments.insert("tag".to_owned(), json!(index));
        Value::Object(arguments)
    }

    /// Whether `row` holds what its task makes of its inputs.
    pub fn check(
        &self,
        row: &TaskRow,
        rows: &BTreeMap<u32, TaskRow>,
        answers: &BTreeMap<u32, Value>,
    ) -> Result<(), String> {
        let index = row.key.index;
        let result = row.result.as_ref().map_or("null", |result| result.text());
        let result: Value = serde_json::from_str(result).map_err(|error| error.to_string())?;
        let arguments = self.arguments(index, rows, answers);
        let step = &self.steps[index as usize];
        let fits = match step.act {
            Act::Echo => result == arguments,
            _ => result["made_of"] == fingerprint(&arguments),
        };
        match fits {
            true => Ok(()),
            false => Err(format!(
                "task {index} has the result {result}, which is not made of its recorded inputs {arguments}"
            )),
        }
    }
}

/// A short name for a value.
pub(crate) fn fingerprint(value: &Value) -> String {
    let text = canonical(value).unwrap_or_default();
    let mut hash: u64 = 0xcbf2_9ce4_8422_2325;
    for byte in text.bytes() {
        hash = (hash ^ u64::from(byte)).wrapping_mul(0x0000_0100_0000_01b3);
    }
    format!("{hash:016x}")
}

fn step(dice: &Dice, at: u64) -> Step {
    let pure = dice.chance(400);
    let brief = if dice.chance(600) { 50 } else { 4_000 };
    let act = match dice.below(100) {
        _ if pure && dice.chance(600) => Act::Echo,
        0..75 => Act::Work(dice.between(0, brief)),
        75..97 => Act::Fail {
            times: u32::try_from(dice.between(1, 4)).unwrap_or(1),
            after: dice.between(0, brief),
        },
        _ if pure => Act::Work(1),
        _ => Act::Hang,
    };
    let mut inputs: Vec<u32> = Vec::new();
    for back in 1..=at.min(4) {
        if dice.chance(400) {
            inputs.push(u32::try_from(at - back).unwrap_or(0));
        }
    }
    inputs.sort_unstable();
    let rule = match dice.below(10) {
        0 => TriggerRule::AllDone,
        1 => TriggerRule::AnySuccess,
        2 => TriggerRule::NoneFailed,
        _ => TriggerRule::AllSuccess,
    };
    let delay_ms = *dice.pick(&[0, 50, 1_000, 15_000, 15_000]).unwrap_or(&0);
    Step {
        act,
        pure,
        repeatable: pure || dice.chance(750),
        inputs,
        rule,
        retry: Retry {
            max_attempts: u32::try_from(dice.between(1, 4)).unwrap_or(1),
            delay_ms,
            backoff: Backoff::Exponential,
            max_delay_ms: 20_000,
        },
        timeout_ms: dice.chance(100).then(|| dice.between(100, 5_000)),
        wanted: dice.chance(930),
        gate: None,
    }
}

impl Step {
    fn operation(&self, index: u32, ahead: bool) -> Operation {
        let echo = self.act == Act::Echo;
        let mut arguments: BTreeMap<String, Value> = self
            .inputs
            .iter()
            .map(|input| {
                let source = format!("{{{{ tasks.t{input}.result | default('absent') }}}}");
                (format!("in{input}"), Value::from(source))
            })
            .collect();
        if self.gate.is_some() {
            let source = format!("{{{{ gates.t{index} }}}}");
            arguments.insert("gate".to_owned(), Value::from(source));
        }
        arguments.insert("tag".to_owned(), json!(index));
        let (integration, kind, method, code_digest) = match echo {
            true => ("core", Kind::BuiltIn, "core.echo", "core.echo@1"),
            false => ("scripted", Kind::Python, "scripted.act", DIGEST),
        };
        Operation {
            index,
            name: format!("t{index}"),
            instruction: None,
            definition: Uuid::nil(),
            integration: integration.into(),
            kind,
            method: method.into(),
            code_digest: code_digest.into(),
            pure: self.pure || ahead,
            repeatable: self.repeatable,
            parameters: Vec::new(),
            arguments: Arguments::Given(arguments),
            when: (!self.wanted).then(|| "false".to_owned()),
            trigger_rule: self.rule,
            retry: self.retry,
            timeout_ms: self.timeout_ms,
            approval: self.gate.clone().map(|policy| Gate {
                policy,
                input: None,
            }),
        }
    }
}

fn plan(graph: Arc<Graph>, quorum: u32) -> Result<Arc<Plan>, String> {
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
        policy: Policy::quorum(quorum),
    };
    let plan = Plan::make(graph, head).map_err(|faults| format!("{faults:?}"))?;
    Ok(Arc::new(plan))
}
