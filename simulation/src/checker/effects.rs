//! What holds when an attempt begins.

use std::collections::BTreeMap;

use neena_engine::flow::TriggerRule;
use neena_engine::ids::{ClaimId, RunId};
use neena_engine::run::{TaskRow, TaskStatus};
use neena_worker::executors::Call;

use super::gates::answers;
use super::{Broken, Checker};
use crate::flow::{Act, Flow};

/// How often a run may bring its worker down.
const DEATHS: i32 = 3;

impl Checker {
    /// A process that holds the run under `claim`, as far as it knows, begins an attempt.
    pub fn begins(&mut self, call: &Call, claim: Option<ClaimId>) -> Broken {
        let Some(flow) = self.flows.get(&call.run).cloned() else {
            return Err(format!("run {} is unknown", call.run));
        };
        let index = call.key.index;
        let broken = |what: String| {
            let (run, attempt) = (call.run, call.attempt);
            Err(format!(
                "run {run}: attempt {attempt} of task {index} {what}"
            ))
        };
        let Some(claim) = claim else {
            return broken("began in a process that never held the run".to_owned());
        };
        let step = &flow.steps[index as usize];
        let live = self.store.live(call.run);
        let owns = live.is_some_and(|live| live.claim == Some(claim));
        let answers = answers(&self.store.asked_gates(call.run));
        if owns && step.gate.is_some() && !answers.contains_key(&index) {
            return broken("began before its gate was approved".to_owned());
        }
        if step.pure {
            return Ok(());
        }
        let begun = (call.run, index, call.attempt);
        if !step.repeatable && !self.begun_once.insert(begun) {
            return broken("began twice, although it must not".to_owned());
        }
        let rows: BTreeMap<u32, TaskRow> = self
            .store
            .durable_tasks(call.run)
            .into_iter()
            .map(|row| (row.key.index, row))
            .collect();
        if owns && let Err(what) = inputs(&flow, index, &rows) {
            return broken(what);
        }
        let arguments = flow.arguments(index, &rows, &answers);
        let given = serde_json::from_str::<serde_json::Value>(call.arguments.text());
        if owns && given.ok().as_ref() != Some(&arguments) {
            return broken(format!(
                "began with arguments {}, and its recorded inputs say {arguments}",
                call.arguments.text()
            ));
        }
        let started = rows
            .get(&index)
            .is_some_and(|row| row.status == TaskStatus::InProgress && row.attempt == call.attempt);
        if owns && !step.repeatable && !started {
            return broken("must not repeat, and began before that was recorded".to_owned());
        }
        if let Some(cancel) = self.cancelled.get(&call.run) {
            let inputs = step.inputs.iter();
            let inputs = inputs.filter_map(|input| self.durable.get(&(call.run, *input)));
            let enabled = inputs.chain(self.claims.get(&claim)).max();
            if enabled.is_some_and(|enabled| enabled > cancel) {
                return broken("was enabled after its run had been cancelled".to_owned());
            }
        }
        if step.act == Act::Poison {
            return self.death(call.run);
        }
        Ok(())
    }

    fn death(&mut self, run: RunId) -> Broken {
        // One more than that: of what was cleared, the claim that cleared it does not count.
        let deaths = self.deaths.entry(run).or_insert(-1);
        *deaths += 1;
        match *deaths {
            ..=DEATHS => Ok(()),
            deaths => Err(format!("run {run} brought down {deaths} workers")),
        }
    }
}

/// Whether the inputs of a task have ended, durably, and allow it to start.
fn inputs(flow: &Flow, index: u32, rows: &BTreeMap<u32, TaskRow>) -> Result<(), String> {
    let step = &flow.steps[index as usize];
    let (mut completed, mut failed) = (0, 0);
    for input in &step.inputs {
        match rows.get(input).map(|row| row.status) {
            Some(TaskStatus::Completed) => completed += 1,
            Some(TaskStatus::Failed | TaskStatus::Cancelled) => failed += 1,
            Some(TaskStatus::Skipped) => {}
            other => {
                return Err(format!(
                    "began before its input {input} was durably recorded: {other:?}"
                ));
            }
        }
    }
    let allowed = match step.rule {
        TriggerRule::AllSuccess => completed == step.inputs.len(),
        TriggerRule::AllDone => true,
        TriggerRule::AnySuccess => completed > 0 || step.inputs.is_empty(),
        TriggerRule::NoneFailed => failed == 0,
    };
    match allowed {
        true => Ok(()),
        false => Err("began against its rule".to_owned()),
    }
}
