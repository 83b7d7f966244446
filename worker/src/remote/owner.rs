//! The owner's side: sends attempts, hears of them, and sends again what was lost.

use std::time::Duration;

use metrics::counter;
use neena_bus::Standing;
use neena_bus::remote::{Accepted, Done, Order, RemoteTask, Reply, Sent, TASK_V};
use neena_engine::Micros;
use neena_engine::ids::OrganizationId;
use neena_engine::plan::Operation;
use neena_engine::run::{Outcome, TaskError};
use tokio::time::Instant;
use tracing::{debug, warn};
use uuid::Uuid;

use super::dispatches::Pending;
use super::{NOT_PERMITTED, Remote, SILENCE, STOPPED};
use crate::Shared;
use crate::attempt::Attempt;
use crate::executors::Call;
use crate::slots::Place;

/// So often an attempt is sent before it counts as failed.
const DISPATCHES: u32 = 3;
/// How often a task that nobody has accepted yet is looked for in its queue.
const LOOK: Duration = Duration::from_secs(5);
/// How long a stopped task has to say so.
const STOPPING: Duration = Duration::from_secs(10);
/// What the owner waits longer than the task's own limit, which the executor keeps.
const BACKSTOP: Duration = Duration::from_secs(10);
/// An attempt to be sent.
pub(crate) struct Sending<'a> {
    pub shared: &'a Shared,
    pub attempt: &'a Attempt,
    pub organization: OrganizationId,
    pub operation: &'a Operation,
    pub call: &'a Call,
    /// Held as long as the attempt is out.
    pub place: Place,
}

/// How a sending ended.
pub(crate) enum Went {
    /// It began there and then, and ended so.
    Ended { started: Micros, outcome: Outcome },
    /// It did not begin, and is to be withdrawn.
    Withdrawn,
    /// It cannot be sent now.
    NotSent,
}

/// How one dispatch ended.
enum Dispatched {
    Went(Went),
    /// Nothing more will be heard of it.
    Lost {
        granted: bool,
    },
}

impl Sending<'_> {
    /// Sends the attempt until it has an outcome.
    pub async fn go(self) -> Went {
        let Some(remote) = &self.shared.remote else {
            return Went::NotSent;
        };
        for _ in 0..DISPATCHES {
            match self.dispatch(remote).await {
                Dispatched::Went(went) => return went,
                Dispatched::Lost { granted } => {
                    counter!("neena_remote_dispatches_total", "outcome" => "lost").increment(1);
                    warn!("a task sent to another worker was lost");
                    if granted {
                        return self.failed("outcome_unknown", "the worker that ran this task was lost; whether it did its work is not known", false);
                    }
                }
            }
        }
        self.failed(
            "worker_lost",
            "every worker that was given this task was lost",
            true,
        )
    }

    fn failed(&self, kind: &str, message: &str, retryable: bool) -> Went {
        let outcome = Outcome::Failed(TaskError {
            kind: kind.to_owned(),
            message: message.to_owned(),
            retryable,
        });
        self.ended(outcome)
    }

    fn ended(&self, outcome: Outcome) -> Went {
        Went::Ended {
            started: self.shared.clock.now(),
            outcome,
        }
    }

    async fn dispatch(&self, remote: &Remote) -> Dispatched {
        let mut pending = remote
            .dispatches
            .open(self.shared.clock.id(), &self.call.integration);
        let task = self.message(remote, pending.id);
        match remote.bus.offer(self.place.queue(), &task).await {
            Ok(Sent::Taken) => {}
            Ok(Sent::Nobody) => {
                debug!(queue = %self.place.queue(), "no worker takes from the queue");
                return Dispatched::Went(Went::NotSent);
            }
            Err(problem) => {
                debug!(%problem, "a task could not be sent");
                return Dispatched::Went(Went::NotSent);
            }
        }
        match self.accepted(remote, &mut pending).await {
            Ok(accepted) => self.followed(remote, &mut pending, accepted).await,
            Err(dispatched) => dispatched,
        }
    }

    fn message(&self, remote: &Remote, dispatch: Uuid) -> RemoteTask {
        let call = self.call;
        let key = match call.key.item {
            Some(item) => format!("{}:{}:{item}", call.run, call.key.index),
            None => format!("{}:{}", call.run, call.key.index),
        };
        RemoteTask {
            v: TASK_V,
            dispatch,
            run: call.run,
            organization: self.organization,
            epoch: self.call.epoch,
            index: call.key.index,
            item: call.key.item,
            attempt: call.attempt,
            key,
            integration: call.integration.clone(),
            method: call.method.clone(),
            code_digest: call.code_digest.clone(),
            arguments: call.arguments.clone(),
            timeout_ms: call
                .timeout
                .map(|limit| u64::try_from(limit.as_millis()).unwrap_or(u64::MAX)),
            repeatable: self.operation.repeatable,
            permit: !self.operation.repeatable,
            reply_to: remote.bus.reply_queue(remote.address),
        }
    }

    /// Waits until somebody has it. A reply may overtake the acceptance; a result is an acceptance.
    async fn accepted(
        &self,
        remote: &Remote,
        pending: &mut Pending<'_>,
    ) -> Result<Accepted, Dispatched> {
        let mut empty = 0;
        loop {
            tokio::select! {
                biased;
                word = pending.words.recv() => match word {
                    Some(Reply::Accepted(accepted)) => {
                        return if self.attempt.begin() {
                            Ok(accepted)
                        } else {
                            self.stop(remote, &accepted, pending.id).await;
                            Err(Dispatched::Went(Went::Withdrawn))
                        };
                    }
                    Some(Reply::Beat(_)) => {}
                    Some(Reply::Done(done)) if not_started(&done) => {
                        return Err(Dispatched::Lost { granted: false });
                    }
                    Some(Reply::Done(done)) => {
                        return Err(if self.attempt.begin() {
                            self.outcome(done, self.shared.clock.now(), false)
                        } else {
                            Dispatched::Went(Went::Withdrawn)
                        });
                    }
                    None => return Err(Dispatched::Lost { granted: false }),
                },
                () = self.attempt.stop.cancelled() => {
                    // Whoever accepts it later is told to stop: nobody waits for it any more.
                    return Err(Dispatched::Went(Went::Withdrawn));
                }
                () = tokio::time::sleep(LOOK) => {
                    if self.shared.bus.standing() != Standing::Up {
                        continue;
                    }
                    match remote.bus.waiting(self.place.queue()).await {
                        Ok(None) => return Err(Dispatched::Went(Went::NotSent)),
                        // Taken out of the queue by somebody who is silent, or gone with the broker's disk.
                        Ok(Some(0)) => empty += 1,
                        Ok(Some(_)) | Err(_) => empty = 0,
                    }
                    if empty == 2 {
                        return Err(Dispatched::Lost { granted: false });
                    }
                }
            }
        }
    }

    /// Waits for the end of an attempt that was accepted.
    async fn followed(
        &self,
        remote: &Remote,
        pending: &mut Pending<'_>,
        mut accepted: Accepted,
    ) -> Dispatched {
        let started = self.shared.clock.now();
        let granted = !self.operation.repeatable;
        if granted {
            let permit = Order::Permit {
                dispatch: pending.id,
            };
            self.order(remote, &accepted, &permit).await;
        }
        // Whether more than one executor had it: then one of them may have been the one that was permitted.
        let mut several = false;
        let mut silent_until = Instant::now() + SILENCE;
        let backstop = self
            .call
            .timeout
            .map(|limit| Instant::now() + limit + BACKSTOP);
        loop {
            tokio::select! {
                biased;
                word = pending.words.recv() => match word {
                    Some(Reply::Done(done)) if not_started(&done) => {
                        return Dispatched::Lost {
                            granted: granted && several,
                        };
                    }
                    Some(Reply::Done(done)) => return self.outcome(done, started, granted),
                    // Delivered again, to somebody else: orders go there from now on.
                    Some(Reply::Accepted(again)) => {
                        several |= again.executor != accepted.executor;
                        accepted = again;
                        silent_until = Instant::now() + SILENCE;
                    }
                    Some(Reply::Beat(_)) => silent_until = Instant::now() + SILENCE,
                    None => return Dispatched::Lost { granted },
                },
                () = self.attempt.stop.cancelled() => {
                    self.stop(remote, &accepted, pending.id).await;
                    return Dispatched::Went(self.stopped(pending, started).await);
                }
                () = at(backstop) => {
                    self.stop(remote, &accepted, pending.id).await;
                    let message = "the task did not end within its limit";
                    return Dispatched::Went(self.failed("timeout", message, self.operation.repeatable));
                }
                () = tokio::time::sleep_until(silent_until) => {
                    if self.shared.bus.standing() == Standing::Up {
                        self.stop(remote, &accepted, pending.id).await;
                        return Dispatched::Lost { granted };
                    }
                    // Nothing can be heard; silence counts from when it can be again.
                    silent_until = Instant::now() + SILENCE;
                }
            }
        }
    }

    /// A stopped attempt's end: what it still says, or that it was stopped.
    async fn stopped(&self, pending: &mut Pending<'_>, started: Micros) -> Went {
        let until = Instant::now() + STOPPING;
        while let Ok(Some(word)) = tokio::time::timeout_at(until, pending.words.recv()).await {
            if let Reply::Done(done) = word
                && let Dispatched::Went(went) = self.outcome(done, started, false)
            {
                return went;
            }
        }
        Went::Ended {
            started,
            outcome: Outcome::Stopped,
        }
    }

    fn outcome(&self, done: Done, started: Micros, granted: bool) -> Dispatched {
        let outcome = match (done.result, done.error) {
            (_, Some(error)) if error.code == STOPPED => {
                // Not asked for: its worker stops, and somebody else may have it.
                if !self.attempt.stop.is_cancelled() {
                    return Dispatched::Lost {
                        granted: granted && !error.before_effect,
                    };
                }
                Outcome::Stopped
            }
            (_, Some(error)) => Outcome::Failed(TaskError {
                kind: error.code,
                message: error.message,
                retryable: error.retryable && (self.operation.repeatable || error.before_effect),
            }),
            (result, None) => Outcome::Completed(result.unwrap_or_else(neena_engine::Json::null)),
        };
        counter!("neena_remote_dispatches_total", "outcome" => "done").increment(1);
        Dispatched::Went(Went::Ended { started, outcome })
    }

    async fn stop(&self, remote: &Remote, accepted: &Accepted, dispatch: Uuid) {
        let stop = Order::Stop {
            dispatch,
            grace_ms: 0,
        };
        self.order(remote, accepted, &stop).await;
    }

    async fn order(&self, remote: &Remote, accepted: &Accepted, order: &Order) {
        let integration = &self.call.integration;
        remote
            .bus
            .order(&accepted.control_queue, integration, order)
            .await;
    }
}

/// Whether whoever had it says for certain that it did not start it.
fn not_started(done: &Done) -> bool {
    let code = done.error.as_ref().map(|error| error.code.as_str());
    code.is_some_and(|code| ["not_hosted", NOT_PERMITTED].contains(&code))
}

async fn at(moment: Option<Instant>) {
    match moment {
        Some(moment) => tokio::time::sleep_until(moment).await,
        None => std::future::pending().await,
    }
}
