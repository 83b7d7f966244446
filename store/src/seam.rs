//! The seam between the worker and what keeps its runs: SQL, or memory in the simulation.

use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use neena_engine::approval::{Ask, Subject};
use neena_engine::flow::Catalogue;
use neena_engine::ids::{ClaimId, OrganizationId, RunId, TaskDefinitionId, WorkerId};
use neena_engine::plan::Plan;
use neena_engine::run::{Decision, History, Intent, LiveRun, Phase, Record};
use neena_engine::{Hash, Micros};
use uuid::Uuid;

use crate::Res;

/// How long the process that wrote a message has to publish it before others try.
pub(crate) const HEAD_START: Duration = Duration::from_secs(5);
/// How long whoever took an overdue message has to publish it before others try: at the first try, and at
/// any later one. It does not grow further: what makes a publish fail is the broker, hardly ever the
/// message, and once the broker is well nothing should wait for minutes.
pub(crate) const FIRST_TRY: Duration = Duration::from_secs(10);
pub(crate) const LATER_TRY: Duration = Duration::from_secs(20);
/// How long others wait before they take a run that was given back: a worker that takes one and gives
/// it back at once must not spin.
pub(crate) const GIVEN_BACK: Duration = Duration::from_millis(500);

/// A worker process as it introduces itself.
#[derive(Clone, Debug)]
pub struct WorkerCard {
    pub id: WorkerId,
    pub name: String,
    pub slots: u32,
    pub lease: Duration,
    pub hosts: Hosts,
}

/// The code a worker hosts: the digests of each integration, by its short name.
pub type Hosts = BTreeMap<String, Vec<String>>;

/// A worker that is alive.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Member {
    pub id: WorkerId,
    pub name: String,
    pub slots: u32,
    pub hosts: Hosts,
}

/// A claim call: made once, never used again.
#[derive(Clone, Copy, Debug)]
pub struct Claim {
    pub worker: WorkerId,
    pub id: ClaimId,
    /// The newest plan format this worker reads.
    pub plan_v: u32,
    /// Whether one run that may be what brings workers down (see [`Held::suspect`]) may be among them.
    pub suspect: bool,
}

/// Which runs to claim.
#[derive(Clone, Copy, Debug)]
pub enum Which<'a> {
    Named(&'a [RunId]),
    /// Up to so many, by priority and age.
    Next(u16),
}

/// A run this worker owns.
#[derive(Clone, Debug)]
pub struct Held {
    pub run: RunId,
    pub organization: OrganizationId,
    pub claim: ClaimId,
    pub epoch: i64,
    pub claims: i64,
    pub phase: Phase,
    pub intent: Option<Intent>,
    pub inbox_seq: i64,
    pub deadline_at: Option<Micros>,
    /// Since when it waited to be claimed.
    pub ready_at: Option<Micros>,
    pub plan_hash: Hash,
    pub approved_hash: Option<Hash>,
}

impl Held {
    /// Whether the run was claimed more than twice without a sign of progress: it may be what brings workers
    /// down, and a worker holds one such run at a time.
    pub fn suspect(&self) -> bool {
        self.claims > 2
    }
}

impl Held {
    /// What its owner needs of a live row; none if nobody holds it.
    pub(crate) fn of(live: LiveRun) -> Option<Held> {
        Some(Held {
            run: live.run,
            organization: live.organization,
            claim: live.claim?,
            epoch: live.epoch,
            claims: live.claims,
            phase: live.phase,
            intent: live.intent,
            inbox_seq: live.inbox_seq,
            deadline_at: live.deadline_at,
            ready_at: live.ready_at,
            plan_hash: live.plan_hash,
            approved_hash: live.approved_hash,
        })
    }
}

/// What a beat finds.
#[derive(Clone, Debug)]
pub enum Beat {
    Alive {
        db_now: Micros,
        held: Vec<Held>,
    },
    /// This incarnation was declared dead; a dead one never returns.
    Dead,
}

/// One run's part of a batch.
#[derive(Clone, Debug)]
pub struct Entry {
    pub run: RunId,
    pub claim: ClaimId,
    /// The `inbox_seq` the owner has seen: park and finish apply only if it still stands.
    pub seen: i64,
    pub record: Record,
}

/// What the journal writes in one go.
#[derive(Clone, Debug)]
pub struct Batch {
    /// At most one per run.
    pub entries: Vec<Entry>,
    /// Whether the answer waits for the disk.
    pub durable: bool,
}

/// What became of an entry.
#[derive(Clone, Debug)]
pub struct Verdict {
    pub run: RunId,
    /// False: fenced. Drop the run.
    pub held: bool,
    pub phase: Phase,
    pub intent: Option<Intent>,
    pub inbox_seq: i64,
    /// Whether `then` took effect (always true for `Hold`).
    pub applied: bool,
    /// Messages to hand to this process's relay.
    pub outbox: Vec<Message>,
}

impl Entry {
    /// When the first of its tasks started; `now` if none says.
    pub(crate) fn start(&self, now: Micros) -> Micros {
        self.record
            .rows
            .iter()
            .filter_map(|row| row.start_time)
            .min()
            .unwrap_or(now)
    }
}

impl Verdict {
    /// Of an entry whose claim no longer stands; its phase says nothing.
    pub fn fenced(run: RunId) -> Verdict {
        Verdict {
            run,
            held: false,
            phase: Phase::Closing,
            intent: None,
            inbox_seq: 0,
            applied: false,
            outbox: Vec::new(),
        }
    }
}

/// A row of the outbox.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Message {
    pub id: Uuid,
    /// CloudEvents type and routing key: `flow_run.approved`, …
    pub kind: String,
    pub organization: OrganizationId,
    pub run: RunId,
    /// Orders the events of a run together with `epoch`.
    pub epoch: i64,
    pub at: Micros,
}

impl Message {
    /// A run was approved: any worker may take it.
    pub const APPROVED: &'static str = "flow_run.approved";
    /// A run goes on: any worker may take it.
    pub const RESUMED: &'static str = "flow_run.resumed";
    /// A run nobody holds was cancelled: any worker may clean it up.
    pub const CANCEL_REQUESTED: &'static str = "flow_run.cancel_requested";

    /// How the run ended, if it tells of that.
    pub(crate) fn ends(&self) -> Option<&str> {
        let status = self.kind.strip_prefix("flow_run.")?;
        ["completed", "failed", "cancelled", "rejected"]
            .contains(&status)
            .then_some(status)
    }

    /// Whether it asks workers to take its run, rather than telling whoever listens what happened.
    pub fn wakes_workers(&self) -> bool {
        [
            Message::APPROVED,
            Message::RESUMED,
            Message::CANCEL_REQUESTED,
        ]
        .contains(&&*self.kind)
    }
}

/// A decision about a run, from the caller's organization.
#[derive(Clone, Debug)]
pub struct Deciding {
    pub run: RunId,
    pub organization: OrganizationId,
    pub decision: Decision,
    /// Whether the plan's code is the registry's (checked by the caller just before).
    pub code_current: bool,
}

/// A question whose time has come: to remind of, to put to others, or to decide.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Lapsed {
    pub run: RunId,
    pub organization: OrganizationId,
    pub subject: Subject,
}

impl Lapsed {
    /// The decision that time makes.
    pub fn deciding(self) -> Deciding {
        Deciding {
            run: self.run,
            organization: self.organization,
            decision: Decision::Lapse { on: self.subject },
            code_current: true,
        }
    }
}

/// What a decision did.
#[derive(Clone, Debug)]
pub enum Decided {
    Done {
        live: Option<Box<LiveRun>>,
        outbox: Vec<Message>,
        poke: Option<WorkerId>,
    },
    /// The same person already decided so.
    AlreadySo,
    Refused(neena_engine::run::Refused),
    NotFound,
}

/// How the queue stands.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Census {
    /// Runs that wait to be claimed.
    pub ready: u64,
    /// Since when the oldest of them waits.
    pub ready_since: Option<Micros>,
    /// Messages that are not published, or not yet deleted.
    pub outbox: u64,
    /// When the oldest of them was written.
    pub outbox_since: Option<Micros>,
    /// Workers that are alive.
    pub workers: u64,
}

/// The verbs of the worker and the keeper. `Ok` means committed: durably where the verb says so.
/// Every verb can be repeated with the same arguments.
#[async_trait]
pub trait Store: Send + Sync + std::fmt::Debug {
    /// A new incarnation of a worker, alive. Durable.
    async fn join(&self, card: &WorkerCard) -> Res<Micros>;
    /// What the worker hosts from now on; nothing if it is not alive any more. Durable.
    async fn advertise(&self, worker: WorkerId, hosts: &Hosts) -> Res<()>;
    /// The workers that are alive, by id.
    async fn roster(&self) -> Res<Vec<Member>>;
    /// Renews the lease, then lists every run the worker owns.
    async fn beat(&self, worker: WorkerId, lease: Duration) -> Res<Beat>;
    /// Gives all runs back and ends the incarnation, in one transaction.
    async fn leave(&self, worker: WorkerId) -> Res<()>;
    /// Takes runs. Lazy commit.
    async fn claim(&self, claim: &Claim, which: Which<'_>) -> Res<Vec<Held>>;
    /// The run's plan, verified: head by run, graph by hash (cached).
    async fn plan(&self, run: RunId) -> Res<Arc<Plan>>;
    /// The plan under which a run that waits again has begun; none where it did not. A store that keeps no log of
    /// decisions does not know.
    async fn former_plan(&self, _run: RunId) -> Res<Option<Arc<Plan>>> {
        Ok(None)
    }
    /// Of these task definitions, those that the registry has now. A store without a registry knows none.
    async fn catalogue(&self, _ids: &[TaskDefinitionId]) -> Res<Catalogue> {
        Ok(Catalogue::default())
    }
    /// The plans of those of the runs that are there, verified.
    async fn plans(&self, runs: &[RunId]) -> Res<HashMap<RunId, Arc<Plan>>> {
        let mut plans = HashMap::with_capacity(runs.len());
        for run in runs {
            plans.insert(*run, self.plan(*run).await?);
        }
        Ok(plans)
    }
    /// What is recorded of the run; not needed when its epoch is 1.
    async fn load(&self, run: RunId) -> Res<History>;
    /// The live row of a run this worker holds, read again after a signal.
    async fn reread(&self, run: RunId, claim: ClaimId) -> Res<Option<Held>>;
    /// Of each run and epoch: whether the run goes on under that very claim (phase `running`). In order.
    async fn current(&self, claims: &[(RunId, i64)]) -> Res<Vec<bool>>;
    /// The journal's only write: all or nothing, one verdict per entry in order.
    async fn commit(&self, batch: &Batch) -> Res<Vec<Verdict>>;
    /// Every change not made by an owner. Durable.
    async fn decide(&self, deciding: &Deciding) -> Res<Decided>;
    /// Decides about many runs, each by the plan it holds, as one after the other would be decided; what became of
    /// each, in order. One of them that is refused leaves the others alone. A store that is slow to commit makes one
    /// transaction of it. Durable.
    async fn decide_all(&self, all: &[(Deciding, Arc<Plan>)]) -> Res<Vec<Decided>> {
        let mut decided = Vec::with_capacity(all.len());
        for (deciding, _) in all {
            decided.push(self.decide(deciding).await?);
        }
        Ok(decided)
    }
    /// The gates of a run that were reached, in order.
    async fn gates(&self, run: RunId) -> Res<Vec<Ask>>;
    /// Questions whose time has come, the longest due first: each is to be decided as [`Decision::Lapse`].
    async fn lapsed(&self, limit: u16) -> Res<Vec<Lapsed>>;
    /// Seals up to so many entries of the decision log that are committed; how many were. Durable. A store that keeps
    /// no such log has nothing to seal.
    async fn seal(&self, _limit: u64) -> Res<u64> {
        Ok(0)
    }
    /// Due parked runs become ready. Lazy commit.
    async fn wake(&self, limit: u16) -> Res<Vec<Message>>;
    /// When parked runs are due within this time from now, soonest first, at most so many.
    async fn due_within(&self, time: Duration, limit: u16) -> Res<Vec<Micros>>;
    /// Runs of lapsed workers become ready. Durable: with it everything is on the disk that the dead recorded
    /// lazily, before anybody builds on it.
    async fn bury(&self, limit: u16) -> Res<Vec<Message>>;
    /// Embedded start: the file lock proves every earlier owner dead, so all their runs become ready. Durable.
    async fn bury_all(&self) -> Res<Vec<Message>>;
    /// Due leftovers of the outbox, leased by moving their time. Lazy commit.
    async fn outbox_take(&self, limit: u16) -> Res<Vec<Message>>;
    /// Deletes what was published. Lazy commit.
    async fn outbox_done(&self, ids: &[Uuid]) -> Res<()>;
    /// How the queue stands, for operators; from indexes, for it is asked often.
    async fn census(&self) -> Res<Census> {
        Ok(Census::default())
    }
    /// The database's clock.
    async fn now(&self) -> Res<Micros>;
}
