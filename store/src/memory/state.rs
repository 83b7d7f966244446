//! The tables, as ordered maps.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use neena_engine::approval::{Ask, Subject};
use neena_engine::ids::{FlowId, OrganizationId, RunId, WorkerId};
use neena_engine::plan::Plan;
use neena_engine::run::{Attempt, Final, LiveRun, Note, Phase, RunStatus, TaskKey, TaskRow, Vote};
use neena_engine::{Hash, Micros};
use uuid::Uuid;

use super::flaw::Flaw;
use crate::{Member, Message, NewRun};

/// A run's row as others see it.
#[derive(Clone, Debug, PartialEq)]
pub struct RunState {
    pub organization: OrganizationId,
    pub flow: FlowId,
    /// What decisions go by.
    pub run: Final,
    pub start_time: Option<Micros>,
    pub end_time: Option<Micros>,
    pub reason: Option<Arc<str>>,
}

/// Everything.
#[derive(Clone, Debug, Default)]
pub(super) struct State {
    pub(super) workers: BTreeMap<WorkerId, Lease>,
    pub(super) live: BTreeMap<RunId, LiveRun>,
    pub(super) runs: BTreeMap<RunId, RunState>,
    pub(super) plans: BTreeMap<RunId, Arc<Plan>>,
    pub(super) tasks: BTreeMap<(RunId, TaskKey), TaskRow>,
    /// By round and attempt.
    pub(super) attempts: BTreeMap<(RunId, TaskKey, u32, u32), Attempt>,
    /// With the plan each is on.
    pub(super) votes: BTreeMap<(RunId, Subject), Vec<(Hash, Vote)>>,
    pub(super) asks: BTreeMap<(RunId, Subject), Ask>,
    /// The decision log, oldest first.
    pub(super) log: Vec<(RunId, Note)>,
    /// Members of each organization's groups, in lower case.
    pub(super) groups: BTreeMap<(OrganizationId, String), Vec<String>>,
    /// Who stands in for whom, and from when until when: e-mails in lower case.
    pub(super) delegations: Vec<Delegation>,
    pub(super) results: BTreeMap<RunId, Arc<str>>,
    pub(super) outbox: BTreeMap<Uuid, Waiting>,
    pub(super) ids: u128,
    pub(super) flaw: Option<Flaw>,
}

/// A place lent for a while.
#[derive(Clone, Debug)]
pub struct Delegation {
    pub organization: OrganizationId,
    pub from: String,
    pub to: String,
    pub starts_at: Micros,
    pub ends_at: Micros,
}

/// A worker's row.
#[derive(Clone, Debug)]
pub(super) struct Lease {
    pub(super) alive: bool,
    pub(super) until: Micros,
    pub(super) member: Member,
}

/// An outbox row.
#[derive(Clone, Debug)]
pub(super) struct Waiting {
    pub(super) message: Message,
    pub(super) try_after: Micros,
    pub(super) tries: u32,
}

impl State {
    /// Whether this bug was planted.
    pub(super) fn has(&self, flaw: Flaw) -> bool {
        self.flaw == Some(flaw)
    }

    pub(super) fn insert_run(&mut self, new: &NewRun, now: Micros) {
        let row = RunState {
            organization: new.organization,
            flow: new.flow,
            run: Final {
                status: RunStatus::Pending,
                approval_status: None,
                plan_hash: new.plan.hash,
                approved_hash: None,
                epoch: 0,
                round: 1,
            },
            start_time: None,
            end_time: None,
            reason: None,
        };
        self.runs.entry(new.run).or_insert(row);
        self.asks
            .entry((new.run, Subject::Run))
            .or_insert_with(|| new.asked(now).ask);
        self.live.entry(new.run).or_insert_with(|| new.live());
        self.plans
            .entry(new.run)
            .or_insert_with(|| Arc::clone(&new.plan));
    }

    /// Inserts a message about a run, for others to find after `wait`.
    pub(super) fn send(
        &mut self,
        kind: &str,
        live: (OrganizationId, RunId, i64),
        now: Micros,
        wait: Duration,
    ) -> Message {
        let (organization, run, epoch) = live;
        self.ids += 1;
        let id = Uuid::from_u128(self.ids);
        let message = Message {
            id,
            kind: kind.to_owned(),
            organization,
            run,
            epoch,
            at: now,
        };
        let waiting = Waiting {
            message: message.clone(),
            try_after: now.after(wait),
            tries: 0,
        };
        if !self.has(Flaw::OutboxLeftOut) {
            self.outbox.insert(id, waiting);
        }
        message
    }

    /// Makes a run claimable that had an owner.
    pub(super) fn free(&mut self, run: RunId, now: Micros) -> Option<(OrganizationId, RunId, i64)> {
        let keeps_claim = self.has(Flaw::ClaimOutlivesOwner);
        let live = self.live.get_mut(&run)?;
        live.owner = None;
        live.claim = live.claim.filter(|_| keeps_claim);
        live.ready_at = Some(now);
        if live.phase == Phase::Running {
            live.phase = Phase::Ready;
        }
        Some((live.organization, run, live.epoch))
    }
}
