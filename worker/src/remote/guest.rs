//! A task of another worker's run, run here.

use std::collections::BTreeMap;
use std::panic::AssertUnwindSafe;
use std::sync::Arc;
use std::time::Duration;

use futures_util::FutureExt;
use moka::sync::Cache;
use neena_bus::remote::{Accepted, Delivery, Done, RemoteTask, Reply, Sent, Settled, Settling};
use neena_engine::flow::{BUILT_IN_INTEGRATION, Kind};
use neena_engine::ids::RunId;
use neena_engine::run::{Outcome, TaskError, TaskKey};
use parking_lot::Mutex;
use tokio::sync::Notify;
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;
use tracing::{debug, warn};
use uuid::Uuid;

use super::{NOT_PERMITTED, Remote, travelling};
use crate::Shared;
use crate::attempt::{judged, panicked};
use crate::executors::Call;
use crate::slots::Turn;

/// How long an outcome is kept for a dispatch that comes again.
const REMEMBERED: Duration = Duration::from_secs(600);
/// Bytes of outcomes kept.
const MEMORY: u64 = 64 << 20;
/// How long a task waits for its owner's permit.
const PERMIT: Duration = Duration::from_secs(30);
/// A message that is out for longer would run into the broker's limit.
const SETTLE_AFTER: Duration = Duration::from_secs(20 * 60);
/// How long an answer is tried before its task is given up; the owner takes it for lost by then.
const ANSWERING: Duration = Duration::from_secs(60);

/// The tasks of others that run here.
#[derive(Debug)]
pub(crate) struct Guests {
    running: Mutex<BTreeMap<Uuid, Guest>>,
    /// What dispatches came to, for those that are delivered again.
    answers: Cache<Uuid, Arc<Reply>>,
    pub tasks: TaskTracker,
}

/// One of them.
#[derive(Clone, Debug)]
pub(super) struct Guest {
    pub stop: CancellationToken,
    pub permit: Arc<Notify>,
    pub run: RunId,
    pub epoch: i64,
    pub integration: String,
    pub reply_to: String,
}

impl Guests {
    pub fn new() -> Guests {
        let weight = |_: &Uuid, reply: &Arc<Reply>| match reply.as_ref() {
            Reply::Done(done) => {
                let result = done.result.as_ref().map_or(0, |result| result.text().len());
                u32::try_from(result + 512).unwrap_or(u32::MAX)
            }
            Reply::Accepted(_) | Reply::Beat(_) => 512,
        };
        let answers = Cache::builder()
            .time_to_live(REMEMBERED)
            .weigher(weight)
            .max_capacity(MEMORY);
        Guests {
            running: Mutex::default(),
            answers: answers.build(),
            tasks: TaskTracker::new(),
        }
    }

    pub(super) fn get(&self, dispatch: Uuid) -> Option<Guest> {
        self.running.lock().get(&dispatch).cloned()
    }

    pub(super) fn all(&self) -> Vec<(Uuid, Guest)> {
        let running = self.running.lock();
        running
            .iter()
            .map(|(dispatch, guest)| (*dispatch, guest.clone()))
            .collect()
    }

    /// Stops all of them.
    pub fn stop_all(&self) {
        self.running
            .lock()
            .values()
            .for_each(|guest| guest.stop.cancel());
    }
}

/// Runs a delivered task in a slot of this worker, from acceptance to answer.
pub(super) async fn run(shared: Arc<Shared>, delivery: Delivery, slot: Turn) {
    let Some(remote) = &shared.remote else {
        return;
    };
    let Delivery {
        task,
        redelivered,
        settling,
    } = delivery;
    if redelivered && let Some(answer) = remote.guests.answers.get(&task.dispatch) {
        if answered(remote, &task.reply_to, &answer).await {
            settling.settle(Settled::Done);
        }
        return;
    }
    match remote.standings.of(task.run, task.epoch).await {
        Some(true) => {}
        Some(false) => {
            debug!(dispatch = %task.dispatch, "a task of a run that does not go on under this claim");
            return settling.settle(Settled::Done);
        }
        None => {
            // The database does not say; a task that came straight back would spin.
            tokio::time::sleep(Duration::from_millis(250)).await;
            return settling.settle(Settled::Back);
        }
    }
    let kind = kind_of(&task);
    if !shared
        .executors
        .hosts(kind, &task.integration, &task.code_digest)
    {
        return settling.settle(Settled::Back);
    }
    let guest = Guest {
        stop: CancellationToken::new(),
        permit: Arc::default(),
        run: task.run,
        epoch: task.epoch,
        integration: task.integration.clone(),
        reply_to: task.reply_to.clone(),
    };
    // The same dispatch is here already, over another connection.
    let Some(staying) = Staying::new(&remote.guests, task.dispatch, &guest) else {
        return settling.settle(Settled::Done);
    };
    let accepted = Reply::Accepted(Accepted {
        dispatch: task.dispatch,
        integration: task.integration.clone(),
        executor: shared.settings.name.clone(),
        control_queue: remote.bus.control_queue(remote.address),
        code_digest: task.code_digest.clone(),
    });
    match remote.bus.answer(&task.reply_to, &accepted).await {
        Ok(Sent::Taken) => {}
        // The owner is gone: whoever owns the run next sends it anew.
        Ok(Sent::Nobody) => return settling.settle(Settled::Done),
        Err(_) => return settling.settle(Settled::Back),
    }
    let mut settling = Some(settling);
    let began = Instant::now();
    let outcome = match task.permit {
        true => {
            // Never delivered again: the owner alone decides whether it runs once more.
            settle(&mut settling);
            permitted(&shared, &task, kind, &guest).await
        }
        false => execute(&shared, &task, kind, &guest, &mut settling).await,
    };
    drop(slot);
    let done = Reply::Done(done(&task, outcome, began));
    let done = Arc::new(done);
    remote.guests.answers.insert(task.dispatch, done.clone());
    if answered(remote, &task.reply_to, &done).await {
        settle(&mut settling);
    }
    drop(staying);
}

/// An entry among the running ones, as long as it runs.
struct Staying<'a>(&'a Guests, Uuid);

impl<'a> Staying<'a> {
    fn new(guests: &'a Guests, dispatch: Uuid, guest: &Guest) -> Option<Staying<'a>> {
        let mut running = guests.running.lock();
        if running.contains_key(&dispatch) {
            return None;
        }
        running.insert(dispatch, guest.clone());
        Some(Staying(guests, dispatch))
    }
}

impl Drop for Staying<'_> {
    fn drop(&mut self) {
        self.0.running.lock().remove(&self.1);
    }
}

fn settle(settling: &mut Option<Settling>) {
    if let Some(settling) = settling.take() {
        settling.settle(Settled::Done);
    }
}

/// Runs a task that its owner must permit first.
async fn permitted(shared: &Arc<Shared>, task: &RemoteTask, kind: Kind, guest: &Guest) -> Outcome {
    tokio::select! {
        biased;
        () = guest.stop.cancelled() => Outcome::Withdrawn,
        () = guest.permit.notified() => execute(shared, task, kind, guest, &mut None).await,
        () = tokio::time::sleep(PERMIT) => Outcome::Failed(TaskError {
            kind: NOT_PERMITTED.into(),
            message: "the run's owner did not permit the task in time".into(),
            retryable: true,
        }),
    }
}

async fn execute(
    shared: &Arc<Shared>,
    task: &RemoteTask,
    kind: Kind,
    guest: &Guest,
    settling: &mut Option<Settling>,
) -> Outcome {
    let call = Call {
        run: task.run,
        epoch: task.epoch,
        key: TaskKey {
            index: task.index,
            item: task.item,
        },
        attempt: task.attempt,
        integration: task.integration.clone(),
        method: task.method.clone(),
        code_digest: task.code_digest.clone(),
        arguments: task.arguments.clone(),
        timeout: task.timeout_ms.map(Duration::from_millis),
    };
    let run = shared.executors.run(kind, call, guest.stop.clone());
    let mut run = std::pin::pin!(AssertUnwindSafe(run).catch_unwind());
    let outcome = match tokio::time::timeout(SETTLE_AFTER, &mut run).await {
        Ok(outcome) => outcome,
        Err(_) => {
            // From now on the beats alone keep it.
            settle(settling);
            run.await
        }
    };
    judged(outcome.unwrap_or_else(|_| panicked()), task.repeatable)
}

/// Answers until it is confirmed, or nobody is there to hear it; whether it is settled.
async fn answered(remote: &Remote, reply_to: &str, reply: &Reply) -> bool {
    let until = Instant::now() + ANSWERING;
    loop {
        match remote.bus.answer(reply_to, reply).await {
            Ok(_) => return true,
            Err(problem) if Instant::now() > until => {
                warn!(%problem, "the end of a task could not be told to its owner");
                return false;
            }
            Err(_) => tokio::time::sleep(Duration::from_millis(250)).await,
        }
    }
}

fn done(task: &RemoteTask, outcome: Outcome, began: Instant) -> Done {
    let (result, error) = match travelling(outcome) {
        Ok(result) => (Some(result), None),
        Err(error) => (None, Some(error)),
    };
    Done {
        dispatch: task.dispatch,
        integration: task.integration.clone(),
        run: task.run,
        index: task.index,
        item: task.item,
        attempt: task.attempt,
        epoch: task.epoch,
        result,
        error,
        elapsed_us: u64::try_from(began.elapsed().as_micros()).unwrap_or(u64::MAX),
    }
}

/// Tasks that travel between workers of ours are built-in or Python: workers outside have queues of their own.
fn kind_of(task: &RemoteTask) -> Kind {
    match task.integration.as_str() {
        BUILT_IN_INTEGRATION => Kind::BuiltIn,
        _ => Kind::Python,
    }
}
