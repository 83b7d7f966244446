//! One run between a worker that may die and a database that keeps what was committed.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use neena_engine::Micros;
use neena_engine::plan::Plan;
use neena_engine::run::{Event, Intent, Phase, RunStatus, TaskRow, TaskStatus};

use crate::dice::Dice;
use crate::graph::Case;
use crate::owner::Owner;
use crate::people::Asking;

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
    pub case: &'a Case,
    pub plan: Arc<Plan>,
    pub dice: Dice,
    pub weather: Weather,
    pub now: Micros,
    pub phase: Phase,
    pub wake_at: Option<Micros>,
    pub inbox_seq: i64,
    /// Committed rows.
    pub table: BTreeMap<u32, TaskRow>,
    /// Committed gates, and those that were asked about in this round.
    pub asks: BTreeMap<u32, Asking>,
    pub asked: BTreeSet<u32>,
    pub owner: Option<Owner>,
    pub ended: Option<RunStatus>,
    /// Attempts of non-repeatable tasks that really began.
    pub began_once: BTreeSet<(u32, u32)>,
    pub intent: Option<Intent>,
    pub deadline: Option<Micros>,
    /// The newest record that was answered before its time.
    pub answered: u64,
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
            wake_at: None,
            table: BTreeMap::new(),
            asks: BTreeMap::new(),
            asked: BTreeSet::new(),
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
        self.gates_are_settled()?;
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
        self.asked.clear();
        self.asks.retain(|index, _| {
            let row = self.table.get(index);
            row.is_some_and(|row| row.status == TaskStatus::Completed)
        });
        self.table
            .retain(|_, row| row.status != TaskStatus::Skipped || row.attempt > 0);
        for row in self.table.values_mut() {
            if row.status != TaskStatus::Completed {
                row.status = TaskStatus::Pending;
                row.attempts_before = row.attempt;
                row.start_time = None;
                row.end_time = None;
                row.due_at = None;
                row.result = None;
                row.error = None;
            }
        }
        true
    }

    fn step(&mut self) -> Result<(), String> {
        if self.dice.chance(self.weather.pause)
            || self.phase == Phase::Paused && self.dice.chance(50)
        {
            self.pause_or_resume();
        }
        if self.dice.chance(15) {
            return self.visit();
        }
        let Some(owner) = &mut self.owner else {
            return match self.phase {
                Phase::Parked => self.sleep(),
                Phase::Paused => Ok(()),
                _ => self.claim(),
            };
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
            _ if self.inbox_seq > owner.seen || owner.look => self.signal(),
            _ => match owner.wake.take() {
                Some(due) => {
                    self.now = self.now.max(due);
                    self.tell(Event::Due)
                }
                None => Ok(()),
            },
        }
    }

    /// Nobody holds the run: it waits for a time or for people, or somebody cancels it.
    fn sleep(&mut self) -> Result<(), String> {
        if self.dice.chance(self.weather.cancel) {
            self.phase = Phase::Closing;
            self.inbox_seq += 1;
            return Ok(());
        }
        let asleep = self.open_gates();
        match self
            .wake_at
            .take_if(|_| asleep.is_empty() || self.dice.chance(30))
        {
            Some(wake_at) => {
                self.now = self.now.max(wake_at);
                self.phase = Phase::Ready;
                self.inbox_seq += 1;
                Ok(())
            }
            None if asleep.is_empty() => Err("the run sleeps for good".into()),
            None => self.visit(),
        }
    }

    fn pause_or_resume(&mut self) {
        match (self.phase, self.intent) {
            (Phase::Running, None) => self.intent = Some(Intent::Pause),
            (Phase::Running, Some(_)) => self.intent = None,
            (Phase::Paused, _) => self.phase = Phase::Ready,
            (Phase::Parked, _) => {
                self.phase = Phase::Paused;
                self.wake_at = None;
            }
            _ => return,
        }
        self.inbox_seq += 1;
    }
}
