//! Taking runs: by message when one comes, from the table when none does.

use std::collections::HashMap;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use metrics::{counter, histogram};
use neena_engine::ids::{ClaimId, RunId};
use neena_engine::plan::{PLAN_V, Plan};
use neena_engine::run::{Ending, History, Phase, Record, RunStatus, Then};
use neena_store::{Claim, Entry, Held, Res, StoreError, Which};
use tokio::sync::mpsc;
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;
use tracing::{Instrument, debug, info_span, warn};

use crate::Shared;
use crate::drive::{Drive, Note};
use crate::held::Hold;

/// Wake-ups taken together in one claim call.
const TOGETHER: usize = 64;
/// A suspect that has been held for so long without harm no longer keeps others from being taken.
const SUSPECT_FOR: Duration = Duration::from_secs(5);
/// How long until claiming is tried again that failed.
const AGAIN: Duration = Duration::from_secs(1);
/// Notes that may wait for a driver.
const NOTES: usize = 256;

/// Takes runs until `stop`.
pub(crate) async fn run(shared: Arc<Shared>, stop: CancellationToken) {
    let mut inbox = match shared.bus.consume(shared.id()).await {
        Ok(inbox) => inbox,
        Err(problem) => {
            warn!(%problem, "no messages; taking runs from the table only");
            return from_table_only(shared, stop).await;
        }
    };
    let mut slots = shared.slots.changes();
    let mut look = Instant::now() + pause(&shared);
    loop {
        let free = shared.free();
        let result = tokio::select! {
            biased;
            () = stop.cancelled() => return,
            () = shared.freed.notified(), if free == 0 => continue,
            _ = slots.changed(), if free == 0 => continue,
            // Nobody says that the database has room again, where no run is held.
            () = tokio::time::sleep(AGAIN), if shared.journal.full() => continue,
            // Suspects are taken one at a time; others may have waited for this one.
            () = shared.cleared.notified(), if free > 0 => next(&shared).await,
            // The table is the queue of last resort: a lost message costs a second or two, however many
            // others come meanwhile.
            () = tokio::time::sleep_until(look), if free > 0 => {
                look = Instant::now() + pause(&shared);
                next(&shared).await
            }
            wakes = inbox.wakes(free.min(TOGETHER)), if free > 0 => {
                let runs: Vec<RunId> = wakes.iter().map(|wake| wake.run).collect();
                let result = take(&shared, Which::Named(&runs)).await.map(drop);
                match result {
                    Ok(()) => inbox.ack(wakes).await,
                    // Not looked at: another worker may have more luck.
                    Err(_) => inbox.release(wakes).await,
                }
                result
            }
        };
        if let Err(problem) = result {
            warn!(%problem, "could not claim");
            tokio::select! {
                biased;
                () = stop.cancelled() => return,
                () = tokio::time::sleep(AGAIN) => {}
            }
        }
    }
}

/// Passes pokes on to the drivers until `stop`.
pub(crate) async fn pokes(shared: Arc<Shared>, stop: CancellationToken) {
    let mut incarnation = shared.id.subscribe();
    let mut pokes = shared.bus.pokes(shared.id()).await;
    loop {
        tokio::select! {
            biased;
            () = stop.cancelled() => return,
            changed = incarnation.changed() => match changed {
                Ok(()) => pokes = shared.bus.pokes(shared.id()).await,
                Err(_) => return,
            },
            poke = pokes.recv() => match poke {
                Some(run) => {
                    if let Some(hold) = shared.held.get(run) {
                        // Full: the driver is about to read, and the next beat says it again.
                        let _ = hold.notes.try_send(Note::Look);
                    }
                }
                None => return,
            },
        }
    }
}

async fn from_table_only(shared: Arc<Shared>, stop: CancellationToken) {
    loop {
        tokio::select! {
            biased;
            () = stop.cancelled() => return,
            () = tokio::time::sleep(pause(&shared)) => {
                if let Err(problem) = next(&shared).await {
                    warn!(%problem, "could not claim");
                }
            }
        }
    }
}

/// Takes what is ready, oldest first, for as long as there are free slots.
async fn next(shared: &Arc<Shared>) -> Res<()> {
    loop {
        let most = shared.free().min(TOGETHER);
        if most == 0 || take(shared, Which::Next(most as u16)).await? < most {
            return Ok(());
        }
    }
}

/// Claims and starts a driver for each run that was given; how many.
async fn take(shared: &Arc<Shared>, which: Which<'_>) -> Res<usize> {
    shared.claiming.fetch_add(1, Ordering::AcqRel);
    let taken = claim(shared, which).await;
    shared.claiming.fetch_sub(1, Ordering::AcqRel);
    taken
}

async fn claim(shared: &Arc<Shared>, which: Which<'_>) -> Res<usize> {
    if !shared.lease_holds() {
        return Err(StoreError::Unavailable(
            "the worker's lease is not renewed".into(),
        ));
    }
    let claim = Claim {
        worker: shared.id(),
        id: ClaimId(shared.clock.id()),
        plan_v: PLAN_V,
        suspect: !shared.held.holds_suspect(),
    };
    let taking = timed(shared.store.claim(&claim, which));
    let (held, mut plans) = match which {
        // Who is named is known: one round trip, not two.
        Which::Named(runs) => {
            let (held, plans) = tokio::join!(taking, plans(shared, runs));
            (held?, plans)
        }
        Which::Next(_) => {
            let held = taking.await?;
            let runs: Vec<RunId> = held.iter().map(|held| held.run).collect();
            let plans = plans(shared, &runs).await;
            (held, plans)
        }
    };
    let taken = held.len();
    let which = match which {
        Which::Named(_) => "message",
        Which::Next(_) => "table",
    };
    counter!("neena_claims_total", "which" => which).increment(taken as u64);
    for first in held.iter().filter(|held| held.epoch == 1) {
        if let Some(ready_at) = first.ready_at {
            let waited = shared.clock.now().since(ready_at);
            histogram!("neena_approve_to_start_seconds").record(waited);
        }
    }
    for held in held {
        let (sender, notes) = mpsc::channel(NOTES);
        let hold = Hold {
            claim: held.claim,
            seen: held.inbox_seq,
            suspect_until: held.suspect().then(|| Instant::now() + SUSPECT_FOR),
            notes: sender.clone(),
        };
        if let Some(older) = shared.held.insert(held.run, hold) {
            let _ = older.notes.try_send(Note::Lost);
        }
        let span = info_span!("flow_run", flow_run = %held.run, epoch = held.epoch);
        let plan = plans.remove(&held.run);
        // It was not read under the claim.
        let plan = plan.filter(|plan| plan.hash == held.plan_hash);
        let driver = drive(shared.clone(), held, plan, (sender, notes));
        shared.drivers.spawn(driver.instrument(span));
    }
    Ok(taken)
}

/// Lets a run go when its driver ends, however it does.
struct Letting<'a> {
    shared: &'a Shared,
    run: RunId,
    claim: ClaimId,
    suspect: bool,
}

impl Drop for Letting<'_> {
    fn drop(&mut self) {
        self.shared.held.remove(self.run, self.claim);
        self.shared.freed.notify_one();
        if self.suspect {
            self.shared.cleared.notify_one();
        }
    }
}

/// The plans of these runs, read together. One that is not among them, for whatever reason, its driver asks for itself.
async fn plans(shared: &Shared, runs: &[RunId]) -> HashMap<RunId, Arc<Plan>> {
    shared.store.plans(runs).await.unwrap_or_default()
}

/// A claim, and how long it took.
async fn timed(claim: impl Future<Output = Res<Vec<Held>>>) -> Res<Vec<Held>> {
    let asked = Instant::now();
    let held = claim.await?;
    histogram!("neena_claim_seconds").record(asked.elapsed());
    Ok(held)
}

async fn drive(
    shared: Arc<Shared>,
    held: Held,
    plan: Option<Arc<Plan>>,
    (sender, notes): (mpsc::Sender<Note>, mpsc::Receiver<Note>),
) {
    let _letting = Letting {
        shared: &shared,
        run: held.run,
        claim: held.claim,
        suspect: held.suspect(),
    };
    match prepare(&shared, &held, plan).await {
        Ok((plan, history)) => {
            let drive = Drive::new(shared.clone(), held, plan, &history, (sender, notes));
            drive.go(&history).await;
        }
        Err(problem) => give_up(&shared, &held, problem).await,
    }
}

/// The plan, verified, and what is recorded; a run at its first claim has no history.
async fn prepare(
    shared: &Shared,
    held: &Held,
    plan: Option<Arc<Plan>>,
) -> Res<(Arc<Plan>, History)> {
    let plan = match plan {
        Some(plan) => plan,
        None => shared.store.plan(held.run).await?,
    };
    let history = if held.epoch > 1 {
        shared.store.load(held.run).await?
    } else {
        History::default()
    };
    Ok((plan, history))
}

/// A run that cannot be loaded: failed if its plan is not what was approved, else given back.
async fn give_up(shared: &Shared, held: &Held, problem: StoreError) {
    warn!(%problem, "the run could not be loaded");
    let then = match problem {
        StoreError::Refused(_) if held.phase == Phase::Closing => Then::Close {
            body: "The run was cancelled.".into(),
        },
        StoreError::Refused(why) => Then::Finish(Ending {
            status: RunStatus::Failed,
            body: format!("The plan could not be loaded (plan_unreadable): {why}").into(),
            reason: Some("plan_unreadable".into()),
        }),
        _ => Then::Yield,
    };
    let record = Record {
        seq: 1,
        then,
        urgent: true,
        ..Record::default()
    };
    let entry = Entry {
        run: held.run,
        claim: held.claim,
        seen: held.inbox_seq,
        record,
    };
    if let Err(problem) = shared.journal.push(entry).await {
        debug!(%problem, "the journal has closed");
    }
}

/// A second or two between two looks at the table, so that workers do not look in step.
fn pause(shared: &Shared) -> Duration {
    let share = u64::try_from(shared.clock.id().as_u128() % 1_000).unwrap_or(0);
    Duration::from_millis(1_000 + share)
}
