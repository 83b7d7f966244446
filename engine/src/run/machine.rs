//! What the owner of a run decides while it holds it: events in, commands out.
//!
//! The rule for what may start goes by the *successor*. A pure task starts on results in memory. Everything
//! with an effect is *held* until every outcome it depends on is durably committed and the commit's
//! answer still said `running`; it is enough to wait for the newest record among its direct inputs,
//! since the records of a run are committed in order.

mod end;
mod gate;
mod resume;
mod settle;
mod start;
mod task;

use std::collections::{BTreeSet, HashSet, VecDeque};
use std::sync::Arc;
use std::time::Duration;

use self::task::{Passage, Task};
use super::{Intent, Phase, Record, TaskKey, TaskRow, Then};
use crate::approval::{Ask, AskState};
use crate::binding::Scope;
use crate::ids::RunId;
use crate::plan::{Head, Plan};
use crate::{Json, Micros};

/// Why an attempt failed.
#[derive(Clone, Debug, PartialEq)]
pub struct TaskError {
    /// A stable word: `timeout`, `exception`, `binding`, `outcome_unknown`, `result_too_large`, …
    pub kind: String,
    pub message: String,
    /// Whether the retry policy may try again.
    pub retryable: bool,
}

/// How an attempt ended.
#[derive(Clone, Debug, PartialEq)]
pub enum Outcome {
    Completed(Json),
    Failed(TaskError),
    /// Stopped because the run asked for it.
    Stopped,
    /// It never began: the run asked for it while it waited for its turn.
    Withdrawn,
}

/// What is stored of a run that was claimed before.
#[derive(Clone, Debug, Default)]
pub struct History {
    pub rows: Vec<TaskRow>,
    /// The gates that were reached.
    pub asks: Vec<Ask>,
}

impl History {
    /// `index` of each task that has ended.
    pub fn ended(&self) -> HashSet<u32> {
        let ended = self.rows.iter().filter(|row| row.status.is_outcome());
        ended.map(|row| row.key.index).collect()
    }

    /// Whether people are asked at a gate.
    pub fn asks_now(&self) -> bool {
        self.asks.iter().any(|ask| ask.state == AskState::Open)
    }
}

/// How the live row stood when a commit or a re-read answered.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Standing {
    pub phase: Phase,
    pub intent: Option<Intent>,
    /// Which state of the row this was: an answer that was overtaken by a newer one tells nothing.
    pub inbox_seq: i64,
}

/// What happened.
#[derive(Clone, Debug)]
pub enum Event {
    /// The claim was answered, and after it the history was read; the first event, unless the run is condemned.
    Claimed(Standing),
    /// An attempt ended; `started` is when it really began, after any wait for a slot.
    Finished {
        key: TaskKey,
        attempt: u32,
        started: Micros,
        outcome: Outcome,
    },
    /// Every record up to `seq` is durably committed; `applied` tells whether that record's `then` took effect.
    Recorded {
        seq: u64,
        standing: Standing,
        applied: bool,
    },
    /// The live row was read again after a signal, and after it the gates that were reached.
    Signalled { standing: Standing, asks: Vec<Ask> },
    /// Time passed: something asked for by [`Command::WakeAt`] is due.
    Due,
    /// The store refused the data of a record: it and all later ones were not written.
    Unstorable,
    /// This run has brought down its worker too often: end it as `worker_crash`.
    Condemned,
    /// The worker gives the run back; `unstarted` were commanded to start and never did.
    HandBack { unstarted: Vec<TaskKey> },
}

/// An attempt to start.
#[derive(Clone, Debug)]
pub struct Start {
    pub key: TaskKey,
    pub position: usize,
    pub attempt: u32,
    pub arguments: Json,
    pub timeout: Option<Duration>,
}

/// What to do.
#[derive(Clone, Debug)]
pub enum Command {
    /// Run an attempt.
    Start(Start),
    /// Stop an attempt that was started; it ends as [`Outcome::Stopped`] or, if it had not begun, as
    /// [`Outcome::Withdrawn`].
    Stop(TaskKey),
    /// Stop an attempt that still waits for its turn; what has begun goes on.
    Withdraw(TaskKey),
    /// Hand this to the journal; at most one per event, and before the same event's other commands.
    Record(Record),
    /// Send [`Event::Due`] at this time; replaces the earlier wish.
    WakeAt(Micros),
    /// Read the live row again, and after it the gates: [`Event::Signalled`] must follow, for the run is not parked
    /// before.
    Look,
}

/// Why nothing new starts.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Stopping {
    Failed,
    Cancelled,
    TimedOut,
    Condemned,
    Unstorable,
    HandedBack,
}

/// A run as its owner holds it. Dropped when the owner loses it, parks it or ends it.
#[derive(Debug)]
pub struct Run {
    id: RunId,
    plan: Arc<Plan>,
    deadline: Option<Micros>,
    /// By position in the graph.
    tasks: Vec<Task>,
    /// Tasks without an outcome.
    open: usize,
    /// Attempts under way.
    running: usize,
    /// Positions all of whose inputs have ended, still to be looked at.
    ready: VecDeque<u32>,
    /// Tasks that are bound and may start once the record of that number is durable.
    held: BTreeSet<(u64, u32)>,
    /// Tasks between two attempts, by when the next is due.
    delayed: BTreeSet<(Micros, u32)>,
    /// The record being built.
    record: Record,
    /// Number of the last record handed out, and of the last one known to be durable.
    seq: u64,
    durable: u64,
    standing: Standing,
    /// The state of the inbox after which the gates were read, and the one for which that was asked for.
    heard: i64,
    looked: i64,
    stopping: Option<Stopping>,
    /// Number of the record that parks or ends the run, while its verdict is out.
    last: Option<u64>,
    woken: Option<Micros>,
}

impl Run {
    /// A run just claimed. `history` is what is recorded of it (empty at its first claim); `deadline` is
    /// when the whole run times out. The first event must be [`Event::Claimed`].
    pub fn new(id: RunId, plan: Arc<Plan>, deadline: Option<Micros>, history: &History) -> Run {
        let graph = &plan.graph;
        let tasks = (0..graph.len())
            .map(|at| Task::new(graph.upstream(at).len()))
            .collect();
        let mut run = Run {
            id,
            deadline,
            tasks,
            open: plan.graph.len(),
            plan,
            running: 0,
            ready: VecDeque::new(),
            held: BTreeSet::new(),
            delayed: BTreeSet::new(),
            record: Record::default(),
            seq: 0,
            durable: 0,
            standing: Standing {
                phase: Phase::Running,
                intent: None,
                inbox_seq: i64::MIN,
            },
            heard: i64::MIN,
            looked: i64::MIN,
            stopping: None,
            last: None,
            woken: None,
        };
        run.remember(history);
        run
    }

    /// What follows from `event` at `now`. Late, repeated and unknown events change nothing.
    pub fn on(&mut self, event: Event, now: Micros) -> Vec<Command> {
        let mut commands = Vec::new();
        match event {
            Event::Claimed(standing) => {
                self.stand(standing);
                self.heard = standing.inbox_seq;
                self.take_over(now);
            }
            Event::Finished {
                key,
                attempt,
                started,
                outcome,
            } => {
                self.finished(key, attempt, started, outcome, now, &mut commands);
            }
            Event::Recorded {
                seq,
                standing,
                applied,
            } => {
                self.durable = self.durable.max(seq);
                self.stand(standing);
                if !applied && self.last == Some(seq) {
                    self.last = None;
                }
            }
            Event::Signalled { standing, asks } => {
                self.stand(standing);
                self.heard = self.heard.max(standing.inbox_seq);
                self.answered(&asks);
            }
            Event::Due => self.woken = None,
            Event::Unstorable => {
                self.last = None;
                self.stop(Stopping::Unstorable, now, &mut commands);
            }
            Event::Condemned => self.stop(Stopping::Condemned, now, &mut commands),
            Event::HandBack { unstarted } => self.hand_back(&unstarted),
        }
        if self.standing.phase == Phase::Closing {
            self.stop(Stopping::Cancelled, now, &mut commands);
        } else if self.deadline.is_some_and(|deadline| deadline <= now) {
            self.stop(Stopping::TimedOut, now, &mut commands);
        }
        self.walk(now, &mut commands);
        self.release(now, &mut commands);
        self.end(now);
        self.look(&mut commands);
        self.ask_to_be_woken(&mut commands);
        if let Some(record) = self.take_record() {
            commands.insert(0, Command::Record(record));
        }
        commands
    }

    fn stand(&mut self, standing: Standing) {
        if standing.inbox_seq >= self.standing.inbox_seq {
            self.standing = standing;
        }
    }

    /// Whether something may start now.
    fn may_start(&self) -> bool {
        self.stopping.is_none()
            && self.last.is_none()
            && self.standing.phase == Phase::Running
            && self.standing.intent.is_none()
    }

    /// The number the record being built will have.
    fn next_seq(&self) -> u64 {
        self.seq + 1
    }

    fn key(&self, position: usize) -> TaskKey {
        TaskKey {
            index: self.plan.graph.operation(position).index,
            item: None,
        }
    }

    fn take_record(&mut self) -> Option<Record> {
        if self.record == Record::default() {
            return None;
        }
        let mut record = std::mem::take(&mut self.record);
        self.seq += 1;
        record.seq = self.seq;
        let waited_for = self.held.range((record.seq, 0)..).next().is_some();
        record.urgent |= waited_for || record.then != Then::Hold;
        if record.then != Then::Hold {
            self.last = Some(record.seq);
        }
        Some(record)
    }

    fn ask_to_be_woken(&mut self, commands: &mut Vec<Command>) {
        if self.last.is_some() {
            return;
        }
        let due = self
            .delayed
            .first()
            .map(|(due, _)| *due)
            .filter(|_| self.may_start());
        let deadline = self
            .deadline
            .filter(|_| matches!(self.stopping, None | Some(Stopping::Failed)));
        let Some(wake) = due.into_iter().chain(deadline).min() else {
            return;
        };
        if self.woken != Some(wake) {
            self.woken = Some(wake);
            commands.push(Command::WakeAt(wake));
        }
    }
}

impl Scope for Run {
    fn head(&self) -> &Head {
        &self.plan.head
    }

    fn run(&self) -> RunId {
        self.id
    }

    fn result(&self, position: usize) -> Option<&Json> {
        self.tasks.get(position)?.result.as_ref()
    }

    fn gate(&self, position: usize) -> Option<&Json> {
        match &self.tasks.get(position)?.passage {
            Passage::Open(answer) => Some(answer),
            Passage::Unasked | Passage::Asked | Passage::Shut { .. } => None,
        }
    }
}
