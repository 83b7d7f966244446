//! One run between a worker that may die and a database that keeps what was committed.

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::sync::Arc;

use neena_engine::flow::TriggerRule;
use neena_engine::plan::Plan;
use neena_engine::run::{
    Command, Event, History, Intent, Outcome, Phase, Record, Run, RunStatus, Standing, Start,
    TaskError, TaskKey, TaskRow, TaskStatus, Then,
};
use neena_engine::{Json, Micros};

use crate::graph::Case;

/// A small generator (SplitMix64, Steele et al. 2014): the whole schedule from one seed.
pub struct Dice(u64);

impl Dice {
    pub fn new(seed: u64) -> Dice {
        Dice(seed)
    }

    fn roll(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }

    pub fn below(&mut self, bound: usize) -> usize {
        (self.roll() % bound.max(1) as u64) as usize
    }

    fn chance(&mut self, percent: u64) -> bool {
        self.roll() % 100 < percent
    }
}

/// What may happen to the run besides its own doing.
#[derive(Clone, Copy, Debug, Default)]
pub struct Weather {
    /// Percent of steps at which the worker dies.
    pub crash: u64,
    /// Percent of steps at which somebody cancels the run.
    pub cancel: u64,
    /// Percent of steps at which the worker hands the run back in good order.
    pub hand_back: u64,
    /// Percent of steps at which somebody pauses or resumes the run.
    pub pause: u64,
    /// How often a run that ended badly is retried.
    pub rounds: u32,
    /// Milliseconds until the whole run times out.
    pub limit_ms: Option<i64>,
    /// The planted bug: answers that a record is durable before it is.
    pub early_answers: bool,
}

/// How a run ended.
#[derive(Debug, PartialEq)]
pub struct End {
    pub status: RunStatus,
    pub tasks: BTreeMap<u32, (TaskStatus, Option<String>)>,
}

pub struct World<'a> {
    case: &'a Case,
    plan: Arc<Plan>,
    dice: Dice,
    weather: Weather,
    now: Micros,
    phase: Phase,
    inbox_seq: i64,
    /// Committed rows.
    table: BTreeMap<u32, TaskRow>,
    owner: Option<Owner>,
    ended: Option<RunStatus>,
    /// Attempts of non-repeatable tasks that really began.
    began_once: BTreeSet<(u32, u32)>,
    intent: Option<Intent>,
    deadline: Option<Micros>,
    /// The newest record that was answered before its time.
    answered: u64,
}

/// What dies with the worker.
struct Owner {
    run: Run,
    seen: i64,
    running: Vec<Start>,
    /// Handed out, not committed.
    records: VecDeque<Record>,
    wake: Option<Micros>,
}

impl<'a> World<'a> {
    pub fn new(case: &'a Case, weather: Weather) -> World<'a> {
        World {
            case,
            plan: case.plan(),
            dice: Dice::new(case.seed),
            weather,
            now: Micros(1_000_000),
            phase: Phase::Ready,
            inbox_seq: 0,
            table: BTreeMap::new(),
            owner: None,
            ended: None,
            began_once: BTreeSet::new(),
            intent: None,
            deadline: weather
                .limit_ms
                .map(|limit| Micros(1_000_000 + limit * 1_000)),
            answered: 0,
        }
    }

    /// Lives the run to its end; an invariant that breaks is the error.
    pub fn live(mut self) -> Result<End, String> {
        let mut steps = 0;
        while self.ended.is_none() || self.another_round() {
            steps += 1;
            if steps > 400 * (self.case.nodes.len() + 10) {
                return Err("the run does not end".into());
            }
            // The weather clears up in the end, or nothing would ever be done.
            if steps > 20 * self.case.nodes.len() {
                let Weather {
                    early_answers,
                    rounds,
                    ..
                } = self.weather;
                self.weather = Weather {
                    early_answers,
                    rounds,
                    ..Weather::default()
                };
            }
            self.step()?;
        }
        if let Some(row) = self.table.values().find(|row| !row.status.is_outcome()) {
            return Err(format!("task {} is left as {}", row.key.index, row.status));
        }
        let tasks = self.table.values().map(|row| {
            (
                row.key.index,
                (
                    row.status,
                    row.result.as_ref().map(|result| result.text().to_owned()),
                ),
            )
        });
        Ok(End {
            status: self.ended.unwrap(),
            tasks: tasks.collect(),
        })
    }

    /// Opens a new round of a run that ended badly, as the store does.
    fn another_round(&mut self) -> bool {
        if self.ended == Some(RunStatus::Completed) || self.weather.rounds == 0 {
            return false;
        }
        self.weather.rounds -= 1;
        self.ended = None;
        self.phase = Phase::Ready;
        self.inbox_seq = 0;
        self.deadline = None;
        self.table
            .retain(|_, row| row.status != TaskStatus::Skipped || row.attempt > 0);
        for row in self.table.values_mut() {
            if row.status != TaskStatus::Completed {
                row.status = TaskStatus::Pending;
                row.attempts_before = row.attempt;
            }
        }
        true
    }

    fn step(&mut self) -> Result<(), String> {
        if self.dice.chance(self.weather.pause) || (self.phase == Phase::Paused) {
            self.pause_or_resume();
        }
        let Some(owner) = &mut self.owner else {
            return self.claim();
        };
        if self.dice.chance(self.weather.crash) {
            self.owner = None;
            if self.phase == Phase::Running {
                self.phase = Phase::Ready;
            }
            return Ok(());
        }
        if self.dice.chance(self.weather.cancel) && self.phase == Phase::Running {
            self.phase = Phase::Closing;
            self.intent = None;
            self.inbox_seq += 1;
            if self.dice.chance(50) {
                return self.signal();
            }
            return Ok(());
        }
        if self.dice.chance(self.weather.hand_back) {
            let unstarted = owner.running.iter().map(|start| start.key);
            let unstarted = unstarted
                .filter(|_| self.dice.chance(50))
                .collect::<Vec<_>>();
            for key in &unstarted {
                self.began_once.retain(|(index, _)| *index != key.index);
            }
            owner.running.clear();
            return self.tell(Event::HandBack { unstarted });
        }
        let (running, records) = (owner.running.len(), owner.records.len());
        match self.dice.below(running + records + 1) {
            at if at < running => self.finish_attempt(at),
            at if at < running + records => self.commit(),
            _ if self.inbox_seq > owner.seen => self.signal(),
            _ => match owner.wake.take() {
                Some(due) => {
                    self.now = self.now.max(due);
                    self.tell(Event::Due)
                }
                None => Ok(()),
            },
        }
    }

    fn pause_or_resume(&mut self) {
        match (self.phase, self.intent) {
            (Phase::Running, None) => self.intent = Some(Intent::Pause),
            (Phase::Running, Some(_)) => self.intent = None,
            (Phase::Paused, _) => self.phase = Phase::Ready,
            _ => return,
        }
        self.inbox_seq += 1;
    }

    fn claim(&mut self) -> Result<(), String> {
        self.answered = 0;
        if self.phase == Phase::Ready {
            self.phase = Phase::Running;
        }
        let history = History {
            rows: self.table.values().cloned().collect(),
            asks: Vec::new(),
        };
        let run = Run::new(self.case.run(), self.plan.clone(), self.deadline, &history);
        self.owner = Some(Owner {
            run,
            seen: self.inbox_seq,
            running: Vec::new(),
            records: VecDeque::new(),
            wake: None,
        });
        self.tell(Event::Claimed(self.standing()))
    }

    fn standing(&self) -> Standing {
        Standing {
            phase: self.phase,
            intent: self.intent,
            inbox_seq: self.inbox_seq,
        }
    }

    fn signal(&mut self) -> Result<(), String> {
        if let Some(owner) = &mut self.owner {
            owner.seen = self.inbox_seq;
        }
        self.tell(Event::Signalled {
            standing: self.standing(),
            asks: Vec::new(),
        })
    }

    fn finish_attempt(&mut self, at: usize) -> Result<(), String> {
        let Some(owner) = &mut self.owner else {
            return Ok(());
        };
        let start = owner.running.swap_remove(at);
        let node = &self.case.nodes[start.key.index as usize];
        let outcome = if node.fatal || start.attempt <= node.failures {
            Outcome::Failed(TaskError {
                kind: "exception".into(),
                message: "simulated".into(),
                retryable: !node.fatal,
            })
        } else {
            Outcome::Completed(Json::of(&start.key.index))
        };
        self.now.0 += 1_000;
        let (key, attempt, started) = (start.key, start.attempt, self.now);
        self.tell(Event::Finished {
            key,
            attempt,
            started,
            outcome,
        })
    }

    fn tell(&mut self, event: Event) -> Result<(), String> {
        let Some(owner) = &mut self.owner else {
            return Ok(());
        };
        let mut stopped = Vec::new();
        for command in owner.run.on(event, self.now) {
            match command {
                Command::Record(record) => owner.records.push_back(record),
                Command::Start(start) => {
                    if self.deadline.is_some_and(|deadline| deadline <= self.now) {
                        return Err(format!("task {} started too late", start.key.index));
                    }
                    may_start(self.case, &self.plan, &self.table, &owner.records, &start)?;
                    let index = start.key.index;
                    if !self.case.nodes[index as usize].repeatable
                        && !self.began_once.insert((index, start.attempt))
                    {
                        return Err(format!("task {index} ran twice and must not"));
                    }
                    owner.running.push(start);
                }
                Command::Stop(key) => stopped.push(key),
                // Everything has its turn at once here.
                Command::Withdraw(_) => {}
                Command::WakeAt(due) => owner.wake = Some(due),
            }
        }
        for key in stopped {
            self.stop_attempt(key)?;
        }
        let last = self.owner.as_ref().and_then(|owner| owner.records.back());
        match last.filter(|_| self.weather.early_answers) {
            Some(record) if record.then == Then::Hold && record.seq > self.answered => {
                self.answered = record.seq;
                let standing = self.standing();
                self.tell(Event::Recorded {
                    seq: self.answered,
                    standing,
                    applied: true,
                })
            }
            _ => Ok(()),
        }
    }

    /// What a stopped attempt reports: it was stopped, or it had just finished.
    fn stop_attempt(&mut self, key: TaskKey) -> Result<(), String> {
        let Some(owner) = &mut self.owner else {
            return Ok(());
        };
        let Some(at) = owner.running.iter().position(|start| start.key == key) else {
            return Ok(());
        };
        if self.dice.chance(20) {
            return self.finish_attempt(at);
        }
        let attempt = owner.running.swap_remove(at).attempt;
        self.tell(Event::Finished {
            key,
            attempt,
            started: self.now,
            outcome: Outcome::Stopped,
        })
    }

    /// Commits the oldest record and answers the owner.
    fn commit(&mut self) -> Result<(), String> {
        let Some(owner) = &mut self.owner else {
            return Ok(());
        };
        let Some(record) = owner.records.pop_front() else {
            return Ok(());
        };
        for row in record.rows {
            let index = row.key.index;
            if let Some(old) = self.table.get(&index)
                && old.status.is_outcome()
            {
                return Err(format!("task {index} got a second outcome"));
            }
            self.table.insert(index, row);
        }
        let fresh = owner.seen == self.inbox_seq;
        let running = self.phase == Phase::Running;
        let applied = match record.then {
            Then::Hold => {
                owner.seen = self.inbox_seq;
                let standing = self.standing();
                return self.tell(Event::Recorded {
                    seq: record.seq,
                    standing,
                    applied: true,
                });
            }
            Then::Finish(ending) if running && fresh => {
                self.ended = Some(ending.status);
                true
            }
            Then::Close { .. } if self.phase == Phase::Closing => {
                self.ended = Some(RunStatus::Cancelled);
                true
            }
            Then::Park { wake_at, .. } if running && fresh => {
                self.now = self.now.max(wake_at.unwrap_or(self.now));
                let paused = self.intent.take().is_some();
                self.phase = if paused { Phase::Paused } else { Phase::Ready };
                true
            }
            Then::Yield => {
                if running {
                    self.phase = Phase::Ready;
                }
                true
            }
            Then::Finish(_) | Then::Close { .. } | Then::Park { .. } => false,
        };
        if applied && !owner.running.is_empty() {
            return Err("the run was let go while attempts were under way".into());
        }
        if applied {
            self.owner = None;
            return Ok(());
        }
        owner.seen = self.inbox_seq;
        let standing = self.standing();
        self.tell(Event::Recorded {
            seq: record.seq,
            standing,
            applied,
        })
    }
}

/// Whether the rule allows this start: inputs ended as the rule asks, committed where it has an effect.
fn may_start(
    case: &Case,
    plan: &Plan,
    table: &BTreeMap<u32, TaskRow>,
    records: &VecDeque<Record>,
    start: &Start,
) -> Result<(), String> {
    let node = &case.nodes[start.key.index as usize];
    let pending = records.iter().flat_map(|record| &record.rows);
    let mut memory: BTreeMap<u32, TaskStatus> = table
        .values()
        .map(|row| (row.key.index, row.status))
        .collect();
    memory.extend(pending.map(|row| (row.key.index, row.status)));
    let mut completed = 0;
    let mut failed = 0;
    let upstream = plan.graph.upstream(start.position);
    for &input in upstream {
        let index = plan.graph.operation(input as usize).index;
        let committed = table.get(&index).map(|row| row.status);
        let known = if node.pure {
            memory.get(&index).copied()
        } else {
            committed
        };
        match known {
            Some(TaskStatus::Completed) => completed += 1,
            Some(TaskStatus::Failed | TaskStatus::Cancelled) => failed += 1,
            Some(TaskStatus::Skipped) => {}
            other => {
                return Err(format!(
                    "task {} started while its input {index} was {other:?}",
                    start.key.index
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
        return Err(format!("task {} started against its rule", start.key.index));
    }
    let started_row = |row: &TaskRow| row.attempt == start.attempt;
    if !node.repeatable && !table.get(&start.key.index).is_some_and(started_row) {
        return Err(format!(
            "task {} started before that was committed",
            start.key.index
        ));
    }
    Ok(())
}
