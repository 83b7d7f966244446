//! Drives one claimed run: feeds the pure engine with what happens and does what it says.

mod hand_back;
mod judged;
mod look;
mod record;
mod unhosted;

use std::collections::{BTreeMap, VecDeque};
use std::sync::Arc;
use std::time::Duration;

use futures_util::stream::{FuturesOrdered, StreamExt};
use neena_engine::plan::{Operation, Plan};
use neena_engine::run::{Command, Event, History, Record, Run, Standing, Start, TaskKey};
use neena_store::{Held, Pending};
use tokio::sync::mpsc;
use tokio::time::Instant;
use tracing::{Instrument, debug, info};

use crate::Shared;
use crate::attempt::{self, Attempt, Ended, Task};
use crate::slots::Wants;

/// Claims without progress after which a run is ended instead of started again.
const CONDEMNED_AT: i64 = 4;
/// Events handled in one go before other runs get the thread.
const BURST: usize = 128;
/// Rows gathered in one go before they are handed to the journal.
const GATHER: usize = 256;
/// A run is given back as soon as nothing runs; this is when it is given back at the latest.
const FAR: Duration = Duration::from_secs(86_400 * 365);

/// What others tell a driver.
#[derive(Debug)]
pub(crate) enum Note {
    Ended(Ended),
    /// Look at the live row again.
    Look,
    /// Start nothing more, and give the run back when nothing runs or at this moment.
    Drain(Instant),
    /// The run is not ours any more.
    Lost,
}

pub(crate) struct Drive {
    shared: Arc<Shared>,
    held: Held,
    plan: Arc<Plan>,
    run: Run,
    /// The state of the inbox this driver has looked into; nothing is parked or ended on an older one.
    seen: i64,
    /// Whether people are asked within this run.
    gated: bool,
    notes: mpsc::Receiver<Note>,
    sender: mpsc::Sender<Note>,
    events: VecDeque<Event>,
    attempts: BTreeMap<TaskKey, Attempt>,
    record: Record,
    verdicts: FuturesOrdered<Pending>,
    /// The record that ends the hold, while its verdict is out.
    last: Option<u64>,
    wake: Option<Instant>,
    drain: Option<Instant>,
    handed_back: bool,
    /// Whether the record that ends the hold gives the run back.
    yields: bool,
    /// Whether the worker stops: then others are told of what it gives back.
    stopping: bool,
    unstarted: Vec<TaskKey>,
    /// Whether the engine was told of the claim; not while code is missing.
    claimed: bool,
    /// Whether the database refused a record before.
    refused: bool,
    /// Whether an outcome was handed to the journal.
    progressed: bool,
    /// Whether the run is to be looked at before anything else.
    look_again: bool,
}

/// Why a driver stopped.
enum Over {
    /// The run was parked, ended or given back by its own record.
    Settled,
    /// Somebody else owns it, or nobody does.
    Lost,
}

impl Drive {
    /// Prepares to drive a run that was just claimed.
    pub fn new(
        shared: Arc<Shared>,
        held: Held,
        plan: Arc<Plan>,
        history: &History,
        (sender, notes): (mpsc::Sender<Note>, mpsc::Receiver<Note>),
    ) -> Drive {
        let run = Run::new(held.run, plan.clone(), held.deadline_at, history);
        Drive {
            shared,
            seen: held.inbox_seq,
            gated: look::gated(&plan),
            plan,
            run,
            held,
            notes,
            sender,
            events: VecDeque::new(),
            attempts: BTreeMap::new(),
            record: Record::default(),
            verdicts: FuturesOrdered::new(),
            last: None,
            wake: None,
            drain: None,
            handed_back: false,
            yields: false,
            stopping: false,
            unstarted: Vec::new(),
            claimed: false,
            refused: false,
            progressed: false,
            look_again: false,
        }
    }

    /// Drives the run until it is parked, ended, given back or lost.
    pub async fn go(mut self, history: &History) {
        let standing = Standing {
            phase: self.held.phase,
            intent: self.held.intent,
            inbox_seq: self.held.inbox_seq,
        };
        let missing = self.unhosted(history).await;
        let missing = missing.filter(|_| self.held.claims < CONDEMNED_AT && !self.overdue());
        match &missing {
            Some(missing) => self.park_unhosted(missing),
            None => self.claim(standing),
        }
        let over = self.turn().await;
        self.attempts
            .values()
            .for_each(|attempt| attempt.stop.cancel());
        match over {
            Over::Settled => {
                debug!("run left in good order");
                self.pass_on().await;
                if let Some(missing) = missing.filter(|_| !self.claimed) {
                    self.resubmit(&missing, history).await;
                }
            }
            Over::Lost => info!("run lost to another owner; its tasks here were stopped"),
        }
    }

    async fn turn(&mut self) -> Over {
        loop {
            self.burst().await;
            if self.drain.is_some() && !self.handed_back && self.idle() {
                self.hand_back();
                continue;
            }
            if let Some(over) = self.flush().await {
                return over;
            }
            if std::mem::take(&mut self.look_again) {
                if let Some(over) = self.look().await {
                    return over;
                }
                continue;
            }
            let wake = self.wake;
            let drain = self.drain.filter(|_| !self.handed_back);
            tokio::select! {
                biased;
                Some(verdict) = self.verdicts.next(), if !self.verdicts.is_empty() => {
                    if let Some(over) = self.judged(verdict) {
                        return over;
                    }
                }
                note = self.notes.recv() => match note {
                    Some(Note::Ended(ended)) => self.ended(ended),
                    Some(Note::Look) => {
                        if let Some(over) = self.look().await {
                            return over;
                        }
                    }
                    Some(Note::Drain(until)) => {
                        self.stopping = true;
                        self.drain = Some(until);
                    }
                    Some(Note::Lost) | None => return Over::Lost,
                },
                () = at(wake) => {
                    self.wake = None;
                    self.events.push_back(Event::Due);
                }
                () = at(drain) => self.hand_back(),
            }
        }
    }

    /// Handles what has happened, and what follows from it at once, without letting go of the thread
    /// for long.
    async fn burst(&mut self) {
        let mut handled = 0;
        while let Some(event) = self.events.pop_front() {
            for command in self.run.on(event, self.shared.clock.now()) {
                match command {
                    Command::Record(record) => self.gather(record),
                    Command::Start(start) => self.start(start),
                    Command::Stop(key) => {
                        if let Some(attempt) = self.attempts.get(&key) {
                            attempt.stop.cancel();
                        }
                    }
                    Command::Withdraw(key) => {
                        if let Some(attempt) = self.attempts.get(&key)
                            && attempt.withdraw()
                        {
                            attempt.stop.cancel();
                        }
                    }
                    Command::WakeAt(due) => self.wake = Some(self.shared.clock.instant(due)),
                    Command::Look => self.look_again = true,
                }
            }
            handled += 1;
            if self.record.rows.len() >= GATHER && self.flush().await.is_some() {
                // The journal is closed; the next flush says so again.
                return;
            }
            if handled % BURST == 0 {
                tokio::task::yield_now().await;
            }
        }
    }

    fn start(&mut self, start: Start) {
        let operation = self.plan.graph.operation(start.position).clone();
        let key = start.key;
        let wants = self.wants(&operation);
        if wants == Wants::NOWHERE {
            // Its code went since the claim: given back, the run waits for it.
            self.drain.get_or_insert_with(|| Instant::now() + FAR);
        }
        if self.drain.is_some() {
            self.unstarted.push(key);
            return;
        }
        let attempt = Attempt::default();
        let span = tracing::info_span!("task", task = key.index, method = %operation.method);
        let call = attempt::call(&self.held, &operation, start);
        let task = Task {
            operation,
            organization: self.held.organization,
            wants,
        };
        let mut running = Box::pin(
            attempt
                .clone()
                .run(self.shared.clone(), task, call)
                .instrument(span),
        );
        // Most built-in tasks are over at the first look: no spawn, no wake-up.
        let mut context = std::task::Context::from_waker(std::task::Waker::noop());
        if let std::task::Poll::Ready(ended) = running.as_mut().poll(&mut context) {
            self.events.push_back(event(ended));
            return;
        }
        self.attempts.insert(key, attempt);
        let sender = self.sender.clone();
        tokio::spawn(async move {
            let ended = running.await;
            // A driver that is gone has no use for it.
            let _ = sender.send(Note::Ended(ended)).await;
        });
    }

    /// Where a task may run. A run with one task at a time stays here, where its turn comes soon: what it
    /// could only wait for elsewhere, others could have claimed.
    fn wants(&self, operation: &Operation) -> Wants {
        let (kind, integration) = (operation.kind, &operation.integration);
        let here = self
            .shared
            .executors
            .hosts(kind, integration, &operation.code_digest);
        let wide = operation.repeatable && !self.attempts.is_empty();
        let elsewhere = match here {
            true if !wide => None,
            _ => self.shared.elsewhere(operation),
        };
        Wants { here, elsewhere }
    }

    fn ended(&mut self, ended: Ended) {
        self.attempts.remove(&ended.key);
        if self.handed_back {
            return;
        }
        self.events.push_back(event(ended));
    }
}

fn event(ended: Ended) -> Event {
    let Ended {
        key,
        attempt,
        started,
        outcome,
    } = ended;
    Event::Finished {
        key,
        attempt,
        started,
        outcome,
    }
}

async fn at(moment: Option<Instant>) {
    match moment {
        Some(moment) => tokio::time::sleep_until(moment).await,
        None => std::future::pending().await,
    }
}
