//! The worker that holds the run, and dies with all it has not handed over.

use std::collections::VecDeque;

use neena_engine::approval::Ask;
use neena_engine::run::{
    Command, Event, History, Outcome, Phase, Record, Run, Standing, Start, TaskError, TaskKey, Then,
};
use neena_engine::{Json, Micros};

use crate::world::World;

/// What dies with the worker.
pub struct Owner {
    pub run: Run,
    pub seen: i64,
    pub running: Vec<Start>,
    /// Handed out, not committed; each with the inbox its owner had seen then.
    pub records: VecDeque<(i64, Record)>,
    pub wake: Option<Micros>,
    /// It asked to look at the live row and the gates.
    pub look: bool,
}

impl World<'_> {
    pub fn claim(&mut self) -> Result<(), String> {
        self.answered = 0;
        if self.phase == Phase::Ready {
            self.phase = Phase::Running;
        }
        let history = History {
            rows: self.table.values().cloned().collect(),
            asks: self.known_asks(),
        };
        let run = Run::new(self.case.run(), self.plan.clone(), self.deadline, &history);
        self.owner = Some(Owner {
            run,
            seen: self.inbox_seq,
            running: Vec::new(),
            records: VecDeque::new(),
            wake: None,
            look: false,
        });
        self.tell(Event::Claimed(self.standing()))
    }

    pub fn standing(&self) -> Standing {
        Standing {
            phase: self.phase,
            intent: self.intent,
            inbox_seq: self.inbox_seq,
        }
    }

    fn known_asks(&self) -> Vec<Ask> {
        self.asks
            .values()
            .map(|asking| asking.ask.clone())
            .collect()
    }

    pub fn signal(&mut self) -> Result<(), String> {
        if let Some(owner) = &mut self.owner {
            owner.seen = self.inbox_seq;
            owner.look = false;
        }
        self.tell(Event::Signalled {
            standing: self.standing(),
            asks: self.known_asks(),
        })
    }

    pub fn finish_attempt(&mut self, at: usize) -> Result<(), String> {
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

    pub fn tell(&mut self, event: Event) -> Result<(), String> {
        let Some(mut owner) = self.owner.take() else {
            return Ok(());
        };
        let mut stopped = Vec::new();
        for command in owner.run.on(event, self.now) {
            match command {
                Command::Record(record) => owner.records.push_back((owner.seen, record)),
                Command::Start(start) => {
                    if self.deadline.is_some_and(|deadline| deadline <= self.now) {
                        return Err(format!("task {} started too late", start.key.index));
                    }
                    self.may_start(&owner, &start)?;
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
                Command::Look => owner.look = true,
            }
        }
        self.owner = Some(owner);
        for key in stopped {
            self.stop_attempt(key)?;
        }
        let last = self.owner.as_ref().and_then(|owner| owner.records.back());
        match last.filter(|_| self.weather.early_answers) {
            Some((_, record)) if record.then == Then::Hold && record.seq > self.answered => {
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
}
