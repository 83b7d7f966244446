//! Runs whose code is not here: they wait, and say why.

use std::time::Duration;

use neena_bus::remote::TaskQueue;
use neena_engine::flow::Kind;
use neena_engine::run::{History, Phase, Record, Then};
use tracing::warn;

use super::Drive;
use crate::remote::queue_of;

/// How long such a run waits before it is looked at again.
const UNHOSTED_WAIT: Duration = Duration::from_secs(5);

impl Drive {
    /// What of the plan's code no worker hosts, as far as the run still needs it.
    pub(super) async fn unhosted(&self, history: &History) -> Option<String> {
        if self.held.phase == Phase::Closing {
            return None;
        }
        let done = |index| {
            history
                .rows
                .iter()
                .any(|row| row.key.index == index && row.status.is_outcome())
        };
        let mut looked = false;
        let mut known: Vec<TaskQueue> = Vec::new();
        for operation in &self.plan.graph.body().operations {
            let (integration, digest) = (&operation.integration, &operation.code_digest);
            let executors = &self.shared.executors;
            if executors.hosts(operation.kind, integration, digest) || done(operation.index) {
                continue;
            }
            let queue = queue_of(operation);
            if known.contains(&queue) {
                continue;
            }
            let there = match operation.kind {
                Kind::External => self.shared.has_queue(&queue).await,
                // Somebody may have joined since the last beat.
                _ => {
                    if !looked && self.shared.elsewhere(operation).is_none() {
                        looked = true;
                        self.shared.refresh_roster().await;
                    }
                    self.shared.elsewhere(operation).is_some()
                }
            };
            if !there {
                return Some(format!("{integration} at {digest:.12}"));
            }
            known.push(queue);
        }
        None
    }

    /// Whether the run's own limit has passed: it ends, with or without its code.
    pub(super) fn overdue(&self) -> bool {
        let deadline = self.held.deadline_at;
        deadline.is_some_and(|deadline| deadline <= self.shared.clock.now())
    }

    pub(super) fn park_unhosted(&mut self, missing: &str) {
        let reason = format!("no worker hosts {missing}");
        warn!(%reason, "run parked");
        let again = self.shared.clock.now().after(UNHOSTED_WAIT);
        let wake_at = Some(self.held.deadline_at.map_or(again, |at| at.min(again)));
        let then = Then::Park {
            wake_at,
            reason: Some(reason.into()),
        };
        self.gather(Record {
            seq: 1,
            then,
            urgent: true,
            ..Record::default()
        });
    }
}
