//! Runs whose code is not here: they wait, and say why.

use std::time::Duration;

use neena_bus::remote::TaskQueue;
use neena_engine::flow::Kind;
use neena_engine::run::{Decision, History, Phase, Record, Then};
use neena_store::renewal::{Renewal, renewal};
use neena_store::{Decided, Deciding};
use tracing::{debug, info, warn};

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

    /// After the run was parked for missing code: if the registry has moved on, nobody will bring that code back, and
    /// people are asked about the plan with the code there is now. Should this fail, or this process die before, the
    /// run is looked at again when it wakes.
    pub(super) async fn resubmit(&self, missing: &str, history: &History) {
        // Who is asked at a gate looks at this plan; their answer comes first.
        if history.asks_now() {
            return;
        }
        let store = &*self.shared.store;
        let plan = match renewal(store, &self.plan, history).await {
            Ok(Renewal::Plan(plan)) => plan,
            Ok(Renewal::Current) => return,
            Ok(Renewal::Unfit(why)) => {
                warn!(%why, "the code of the run is gone, and its flow does not fit the new one");
                return;
            }
            Err(problem) => {
                debug!(%problem, "what the registry has now is not known");
                return;
            }
        };
        let deciding = Deciding {
            run: self.held.run,
            organization: self.held.organization,
            decision: Decision::Resubmit {
                plan,
                from: self.plan.hash,
                why: format!("no worker hosts {missing} any more"),
            },
            code_current: true,
        };
        match store.decide(&deciding).await {
            Ok(Decided::Done { outbox, .. }) => {
                info!("the run holds a new plan, which is to be approved");
                if let Err(problem) = self.shared.bus.publish(&outbox).await {
                    debug!(%problem, "the others find it in the table");
                }
            }
            Ok(decided) => debug!(?decided, "the run is not asked about again"),
            Err(problem) => debug!(%problem, "the run could not be asked about again"),
        }
    }

    /// Parks the run with the reason, until somebody who hosts the code may have come.
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
