//! What holds when an attempt begins.

use std::collections::BTreeMap;

use neena_engine::flow::TriggerRule;
use neena_engine::ids::{ClaimId, RunId};
use neena_engine::run::{TaskRow, TaskStatus};
use neena_worker::executors::Call;

use super::gates::answers;
use super::{Broken, Checker, Hold};
use crate::flow::{Act, Flow};

/// How often a run may bring its worker down.
const DEATHS: usize = 3;

impl Checker {
    /// A process begins an attempt for its hold of the run under `claims`: one, or either of two where a crash of
    /// the database took back the first.
    pub fn begins(&mut self, call: &Call, claims: &[ClaimId]) -> Broken {
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
        if claims.is_empty() {
            return broken("began in a process that never made that claim".to_owned());
        }
        let step = &flow.steps[index as usize];
        let live = self.store.live(call.run);
        let claim = live.and_then(|live| live.claim);
        let owns = claim.is_some_and(|claim| *claims == [claim]);
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
            let holds = claims.iter().map(|claim| (call.run, *claim));
            let enabled = holds.filter_map(|hold| self.enabled(hold, &step.inputs));
            if enabled.min().is_some_and(|enabled| enabled > *cancel) {
                return broken("was enabled after its run had been cancelled".to_owned());
            }
        }
        match (step.act, claims) {
            (Act::Poison, [claim]) => self.death(call.run, *claim),
            _ => Ok(()),
        }
    }

    /// The commit that let a task with these inputs start under a hold. What was committed after the hold had
    /// ended let others start it.
    fn enabled(&self, hold: Hold, inputs: &[u32]) -> Option<u64> {
        let (from, until) = *self.holds.get(&hold)?;
        let inputs = inputs.iter();
        let recorded = inputs.filter_map(|input| self.durable.get(&(hold.0, *input)).copied());
        let recorded = recorded.filter(|commit| until.is_none_or(|until| *commit <= until));
        recorded.chain([from]).max()
    }

    /// A run brings down who claimed it. A claim that does not count any more is forgiven.
    fn death(&mut self, run: RunId, claim: ClaimId) -> Broken {
        let counting = self.counting.entry(run).or_default();
        for (counted, died) in counting.iter_mut() {
            *died |= *counted == claim;
        }
        match counting.iter().filter(|(_, died)| *died).count() {
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
