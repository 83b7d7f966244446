//! A run to be made.

use std::sync::Arc;

use neena_engine::Micros;
use neena_engine::approval::{Asked, Subject};
use neena_engine::ids::{FlowId, FlowRequestId, OrganizationId, RunId};
use neena_engine::plan::{CanonicalError, Plan};
use neena_engine::run::{LiveRun, Phase};

/// A run that will wait for approval. Made outside the transaction: hashing has no place in one.
#[derive(Clone, Debug)]
pub struct NewRun {
    pub(crate) run: RunId,
    pub(crate) organization: OrganizationId,
    pub(crate) flow: FlowId,
    pub(crate) flow_request: FlowRequestId,
    pub(crate) plan: Arc<Plan>,
    pub(crate) head: String,
    pub(crate) triggered_time: Option<Micros>,
}

impl NewRun {
    /// A run of `plan` for a request. `triggered_time` is the client's word for when it was asked for;
    /// none: now.
    pub fn new(
        run: RunId,
        flow_request: FlowRequestId,
        plan: Arc<Plan>,
        triggered_time: Option<Micros>,
    ) -> Result<NewRun, CanonicalError> {
        Ok(NewRun {
            run,
            organization: plan.head.organization.into(),
            flow: plan.head.flow.into(),
            flow_request,
            head: plan.head.text()?,
            plan,
            triggered_time,
        })
    }

    /// Its plan.
    pub fn plan(&self) -> &Arc<Plan> {
        &self.plan
    }

    /// Which run it is.
    pub fn run(&self) -> RunId {
        self.run
    }

    /// Bytes of its plan's own part, without what it shares with other runs of the flow.
    pub fn size(&self) -> usize {
        self.head.len()
    }

    /// What is asked about it.
    pub(crate) fn asked(&self, now: Micros) -> Asked {
        let head = &self.plan.head;
        Asked::new(Subject::Run, "", &head.policy, &head.origin(), now)
    }

    /// Its live row.
    pub(crate) fn live(&self) -> LiveRun {
        LiveRun {
            run: self.run,
            organization: self.organization,
            flow: self.flow,
            phase: Phase::Waiting,
            intent: None,
            owner: None,
            claim: None,
            epoch: 0,
            claims: 0,
            inbox_seq: 0,
            wake_at: None,
            ready_at: None,
            deadline_at: None,
            priority: 0,
            plan_hash: self.plan.hash,
            approved_hash: None,
            plan_v: self.plan.head.v,
        }
    }
}
