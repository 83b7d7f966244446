//! Takes tasks of others while slots are free.

use std::sync::Arc;
use std::time::Duration;

use neena_bus::remote::{Order, Settled, TaskInbox, TaskQueue};
use tokio_util::sync::CancellationToken;
use tracing::warn;

use super::{Remote, guest, roster};
use crate::Shared;
use crate::slots::Wants;

/// How long a full worker keeps tasks it has not started.
const FULL: Duration = Duration::from_millis(200);
/// How long until taking is tried again.
const AGAIN: Duration = Duration::from_secs(1);

/// Takes tasks until `stop`.
pub(super) async fn run(shared: Arc<Shared>, stop: CancellationToken) {
    let Some(remote) = &shared.remote else {
        return;
    };
    let slots = shared.settings.slots;
    // A quarter more than can start keeps the slots busy while the next is on its way.
    let most = u16::try_from(slots + slots.div_ceil(4)).unwrap_or(u16::MAX);
    while !stop.is_cancelled() {
        let queues = hosted(&shared);
        match remote.bus.tasks(remote.address, &queues, most).await {
            Ok(mut inbox) => {
                take(&shared, remote, inbox.as_mut(), &queues, &stop).await;
                inbox.pause().await;
            }
            Err(problem) => {
                warn!(%problem, "no tasks of others; trying again");
                tokio::select! {
                    biased;
                    () = stop.cancelled() => return,
                    () = tokio::time::sleep(AGAIN) => {}
                }
            }
        }
    }
}

fn hosted(shared: &Shared) -> Vec<TaskQueue> {
    let hosts = shared.executors.hosted();
    roster::queues(&hosts).collect()
}

/// Takes tasks until `stop`, or until other code is hosted.
async fn take(
    shared: &Arc<Shared>,
    remote: &Remote,
    inbox: &mut dyn TaskInbox,
    queues: &[TaskQueue],
    stop: &CancellationToken,
) {
    let mut changes = shared.slots.changes();
    let mut paused = false;
    let mut full_since = None;
    loop {
        let free = shared.slots.free() > 0;
        if free {
            full_since = None;
        }
        let full_for = *full_since.get_or_insert_with(tokio::time::Instant::now);
        tokio::select! {
            biased;
            () = stop.cancelled() => return,
            () = shared.rehosted.notified() => {
                if hosted(shared) != queues {
                    return;
                }
            }
            delivery = inbox.next(), if free => {
                paused = false;
                let turn = shared.slots.turn(delivery.task.run, Wants::HERE);
                match tokio::time::timeout(FULL, turn).await {
                    Ok(slot) => {
                        let task = guest::run(shared.clone(), delivery, slot);
                        remote.guests.tasks.spawn(task);
                    }
                    Err(_) => delivery.settling.settle(Settled::Back),
                }
            }
            () = tokio::time::sleep_until(full_for + FULL), if !free && !paused => {
                inbox.pause().await;
                paused = true;
            }
            _ = changes.changed(), if !free => {}
        }
    }
}

/// Does what owners order, until `stop`.
pub(super) async fn orders(shared: Arc<Shared>, stop: CancellationToken) {
    let Some(remote) = &shared.remote else {
        return;
    };
    let mut orders = remote.bus.orders(remote.address).await;
    loop {
        let order = tokio::select! {
            biased;
            () = stop.cancelled() => return,
            order = orders.recv() => match order {
                Some(order) => order,
                None => return,
            },
        };
        match order {
            Order::Permit { dispatch } => {
                if let Some(guest) = remote.guests.get(dispatch) {
                    guest.permit.notify_one();
                }
            }
            Order::Stop { dispatch, .. } => {
                if let Some(guest) = remote.guests.get(dispatch) {
                    guest.stop.cancel();
                }
            }
        }
    }
}
