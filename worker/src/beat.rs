//! The heartbeat: renews the lease and compares what the database says this worker owns with what it
//! drives.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::Ordering;

use neena_engine::ids::WorkerId;
use neena_engine::run::{Record, Then};
use neena_store::{Batch, Beat, Entry, Held};
use tokio::time::{Instant, MissedTickBehavior, interval};
use tokio_util::sync::CancellationToken;
use tracing::{debug, error, warn};

use crate::Shared;
use crate::drive::Note;

/// Beats until `stop`, about three times per lease.
pub(crate) async fn run(shared: Arc<Shared>, stop: CancellationToken) {
    let mut ticks = interval(shared.settings.lease * 3 / 10);
    ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    ticks.tick().await;
    loop {
        tokio::select! {
            biased;
            () = stop.cancelled() => return,
            _ = ticks.tick() => once(&shared).await,
        }
    }
}

async fn once(shared: &Arc<Shared>) {
    let asked = Instant::now();
    // What was settled before the beat was sent; a claim or an end in flight is not compared.
    let before: BTreeMap<_, _> = shared.held.all().into_iter().collect();
    match shared.store.beat(shared.id(), shared.settings.lease).await {
        Ok(Beat::Alive { db_now, held }) => {
            shared.renewed(asked, db_now);
            compare(shared, before, held).await;
            advertise(shared).await;
            shared.refresh_roster().await;
        }
        Ok(Beat::Dead) => rejoin(shared).await,
        Err(problem) => warn!(%problem, "the lease could not be renewed"),
    }
    shared.gauge();
}

/// Tells the others what is hosted here, if that has changed.
async fn advertise(shared: &Shared) {
    let hosts = shared.executors.hosted();
    if *shared.advertised.lock() == hosts {
        return;
    }
    match shared.store.advertise(shared.id(), &hosts).await {
        Ok(()) => {
            *shared.advertised.lock() = hosts;
            shared.rehosted.notify_one();
        }
        Err(problem) => warn!(%problem, "the others do not know yet what is hosted here"),
    }
}

async fn compare(
    shared: &Arc<Shared>,
    before: BTreeMap<neena_engine::ids::RunId, crate::held::Hold>,
    owned: Vec<Held>,
) {
    let owned: BTreeMap<_, _> = owned.into_iter().map(|held| (held.run, held)).collect();
    for (run, hold) in &before {
        let note = match owned.get(run) {
            Some(held) if held.claim == hold.claim && held.inbox_seq > hold.seen => Note::Look,
            Some(held) if held.claim == hold.claim => continue,
            _ => match shared.held.get(*run) {
                // Ended meanwhile, or claimed anew: the driver knows.
                Some(now) if now.claim == hold.claim => Note::Look,
                _ => continue,
            },
        };
        // A full inbox is read soon; the next beat says it again.
        let _ = hold.notes.try_send(note);
    }
    // A run of a claim call under way is not there yet; the next beat looks again.
    if shared.claiming.load(Ordering::Acquire) > 0 {
        return;
    }
    for held in owned.into_values() {
        if !before.contains_key(&held.run) && shared.held.get(held.run).is_none() {
            release(shared, held).await;
        }
    }
}

/// A run the database says is ours and nobody here drives: its claim's answer was lost.
async fn release(shared: &Shared, held: Held) {
    warn!(flow_run = %held.run, "giving back a run whose claim was never answered");
    let record = Record {
        then: Then::Yield,
        urgent: true,
        ..Record::default()
    };
    let entry = Entry {
        run: held.run,
        claim: held.claim,
        seen: held.inbox_seq,
        record,
    };
    if let Err(problem) = shared
        .store
        .commit(&Batch {
            entries: vec![entry],
            durable: false,
        })
        .await
    {
        debug!(%problem, "not given back yet; the next beat tries again");
    }
}

/// Declared dead: everything held is somebody else's now. Goes on as a new incarnation.
async fn rejoin(shared: &Arc<Shared>) {
    error!("declared dead by the others; dropping all runs and joining again");
    for (_, hold) in shared.held.all() {
        let _ = hold.notes.send(Note::Lost).await;
    }
    let id = WorkerId(shared.clock.id());
    if let Err(problem) = shared.join(id).await {
        warn!(%problem, "could not join again; the next beat tries once more");
    }
}
