//! What holds once everything has come to rest.

use std::collections::BTreeMap;

use neena_engine::approval::AskState;
use neena_engine::ids::RunId;
use neena_engine::run::{RunStatus, TaskRow, TaskStatus};

use super::{Broken, Checker};

impl Checker {
    /// What is still to be done; nothing if all is at rest.
    pub fn open(&self) -> Option<String> {
        for run in self.flows.keys() {
            let status = self.store.run(*run).map(|row| row.run.status);
            let live = self.store.live(*run);
            let approved = self.approved.get(run).map_or(0, |votes| votes.len());
            let quorum = self.flows[run].quorum as usize;
            let waits = status == Some(RunStatus::Pending) && approved < quorum;
            if live.is_some() && !waits {
                return Some(format!("run {run} is {status:?}: {live:?}"));
            }
        }
        let outbox = self.store.outbox();
        let message = outbox.first()?;
        Some(format!(
            "{} messages in the outbox: {message:?}",
            outbox.len()
        ))
    }

    /// Everything has come to rest: what was left must be right.
    pub fn at_the_end(&self) -> Broken {
        if let Some((kind, run, _)) = self.owed.values().next() {
            return Err(format!(
                "{kind} of run {run} was committed and never published"
            ));
        }
        for run in self.flows.keys() {
            self.ended(*run)
                .map_err(|broken| format!("run {run}: {broken}"))?;
        }
        Ok(())
    }

    fn ended(&self, run: RunId) -> Broken {
        let (Some(row), Some(flow)) = (self.store.run(run), self.flows.get(&run)) else {
            return Err("it is gone".to_owned());
        };
        let rows: BTreeMap<u32, TaskRow> = self
            .store
            .tasks(run)
            .into_iter()
            .map(|row| (row.key.index, row))
            .collect();
        for row in rows.values() {
            if !row.status.is_outcome() {
                return Err(format!("task {} is left as {}", row.key.index, row.status));
            }
        }
        let asks = self.store.asked_gates(run);
        if let Some(ask) = asks.iter().find(|ask| ask.state == AskState::Open) {
            return Err(format!("people are still asked about {:?}", ask.subject));
        }
        let status = row.run.status;
        if status == RunStatus::Completed && rows.len() != flow.steps.len() {
            return Err("it completed with tasks that never ended".to_owned());
        }
        let failed = rows.values().any(|row| row.status == TaskStatus::Failed);
        if status == RunStatus::Completed && failed {
            return Err("it completed although a task had failed".to_owned());
        }
        Ok(())
    }
}
