//! The narrow row of a run that is not final: the row every change of the run locks first.

use std::fmt;
use std::str::FromStr;

use super::status::UnknownStatus;
use crate::ids::{ClaimId, FlowId, OrganizationId, RunId, WorkerId};
use crate::{Hash, Micros};

/// Where a live run stands between its owner and the others.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Phase {
    /// No approval yet.
    Waiting,
    /// Approved; any worker may claim it.
    Ready,
    /// A worker owns it.
    Running,
    /// Waits for a time or a signal; nobody owns it.
    Parked,
    /// Held back by a person.
    Paused,
    /// Its status is `cancelled` already; clean-up is left.
    Closing,
}

impl Phase {
    /// The word for it in the database.
    pub const fn as_str(self) -> &'static str {
        match self {
            Phase::Waiting => "waiting",
            Phase::Ready => "ready",
            Phase::Running => "running",
            Phase::Parked => "parked",
            Phase::Paused => "paused",
            Phase::Closing => "closing",
        }
    }
}

impl fmt::Display for Phase {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

impl FromStr for Phase {
    type Err = UnknownStatus;
    fn from_str(text: &str) -> Result<Phase, UnknownStatus> {
        Ok(match text {
            "waiting" => Phase::Waiting,
            "ready" => Phase::Ready,
            "running" => Phase::Running,
            "parked" => Phase::Parked,
            "paused" => Phase::Paused,
            "closing" => Phase::Closing,
            other => return Err(UnknownStatus(other.to_owned())),
        })
    }
}

/// What others ask of the owner without deciding the run's status.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Intent {
    /// Park as `paused` as soon as nothing runs.
    Pause,
}

/// A row of `live_runs`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LiveRun {
    pub run: RunId,
    pub organization: OrganizationId,
    pub flow: FlowId,
    pub phase: Phase,
    pub intent: Option<Intent>,
    pub owner: Option<WorkerId>,
    /// Fences the owner's writes.
    pub claim: Option<ClaimId>,
    /// Grows by one at each claim; only a claim changes it.
    pub epoch: i64,
    /// Claims since the last sign of health.
    pub claims: i64,
    /// Grows when the owner must look again.
    pub inbox_seq: i64,
    pub wake_at: Option<Micros>,
    pub ready_at: Option<Micros>,
    /// When the whole run times out.
    pub deadline_at: Option<Micros>,
    pub priority: i32,
    pub plan_hash: Hash,
    pub approved_hash: Option<Hash>,
    pub plan_v: u32,
}
