//! What allows a task to start, worked out from the rows alone.

use std::collections::BTreeMap;

use neena_engine::approval::AskState;
use neena_engine::flow::{OnFailure, TriggerRule};
use neena_engine::run::{Start, TaskStatus};
use serde_json::{Map, Value};

use crate::owner::Owner;
use crate::world::World;

impl World<'_> {
    /// Whether the rules allow this start: inputs ended as they ask, committed where it has an effect, its gate
    /// open, and nothing failed in a run that stops.
    pub fn may_start(&self, owner: &Owner, start: &Start) -> Result<(), String> {
        let index = start.key.index;
        let node = &self.case.nodes[index as usize];
        let pending = owner.records.iter().flat_map(|(_, record)| &record.rows);
        let rows = self.table.values().chain(pending);
        let memory: BTreeMap<u32, TaskStatus> =
            rows.map(|row| (row.key.index, row.status)).collect();
        let mut completed = 0;
        let mut failed = 0;
        let upstream = self.plan.graph.upstream(start.position);
        for &input in upstream {
            let input = self.plan.graph.operation(input as usize).index;
            let committed = self.table.get(&input).map(|row| row.status);
            let known = if node.pure {
                memory.get(&input).copied()
            } else {
                committed
            };
            match known {
                Some(TaskStatus::Completed) => completed += 1,
                Some(TaskStatus::Failed | TaskStatus::Cancelled) => failed += 1,
                Some(TaskStatus::Skipped) => {}
                other => {
                    return Err(format!(
                        "task {index} started while its input {input} was {other:?}"
                    ));
                }
            }
        }
        let allowed = match node.rule {
            TriggerRule::AllSuccess => completed == upstream.len(),
            TriggerRule::AllDone => true,
            TriggerRule::AnySuccess => completed > 0 || upstream.is_empty(),
            TriggerRule::NoneFailed => failed == 0,
        };
        if !allowed {
            return Err(format!("task {index} started against its rule"));
        }
        let broken = memory.values().any(|status| *status == TaskStatus::Failed);
        if broken && self.case.on_failure == OnFailure::Stop {
            return Err(format!("task {index} started after a failure"));
        }
        let started_row = |row: &neena_engine::run::TaskRow| row.attempt == start.attempt;
        if !node.repeatable && !self.table.get(&index).is_some_and(started_row) {
            return Err(format!("task {index} started before that was committed"));
        }
        self.gate_allows(start)
    }

    /// Its gate was approved in the table, and it is given what the gates it looks at were answered.
    fn gate_allows(&self, start: &Start) -> Result<(), String> {
        let index = start.key.index;
        let approved = |at: u32| {
            let asked = self.asks.get(&at)?;
            (asked.ask.state == AskState::Approved).then_some(&asked.ask)
        };
        if self.case.nodes[index as usize].gate.is_some() && approved(index).is_none() {
            return Err(format!("task {index} started before its gate was approved"));
        }
        let inputs = self.plan.graph.upstream(start.position).iter();
        let answers: Map<String, Value> = inputs
            .map(|input| self.plan.graph.operation(*input as usize).index)
            .chain([index])
            .filter(|at| self.case.nodes[*at as usize].gate.is_some())
            .map(|at| {
                let answer = approved(at).and_then(|ask| ask.answer.as_ref());
                let answer = answer.map(|answer| serde_json::from_str(answer.text()).unwrap());
                (format!("gate_{at}"), answer.unwrap_or_default())
            })
            .collect();
        let given: Value = serde_json::from_str(start.arguments.text()).unwrap();
        if given != Value::from(answers.clone()) {
            return Err(format!(
                "task {index} was given {given} where its gates say {answers:?}"
            ));
        }
        Ok(())
    }

    /// Once a run is over, none of its gates is open, and what they were answered shows in their tasks.
    pub fn gates_are_settled(&self) -> Result<(), String> {
        if let Some(index) = self.open_gates().first() {
            return Err(format!("gate {index} is left open"));
        }
        for row in self.table.values() {
            let index = row.key.index;
            if self.case.nodes[index as usize].gate.is_none() {
                continue;
            }
            let state = self.asks.get(&index).map(|asking| asking.ask.state);
            let kind = row.error.as_ref().map_or("", |error| error.text());
            let fits = match (row.status, state) {
                (TaskStatus::Completed, state) => state == Some(AskState::Approved),
                (TaskStatus::Failed, Some(AskState::Rejected)) => kind.contains("gate_rejected"),
                (TaskStatus::Failed, Some(AskState::Expired)) => kind.contains("gate_expired"),
                _ => !kind.contains("gate_"),
            };
            if !fits {
                let status = row.status;
                return Err(format!(
                    "task {index} is {status} with {kind}, its gate {state:?}"
                ));
            }
        }
        Ok(())
    }
}
