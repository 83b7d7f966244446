//! Tells owners that their tasks are under way, and stops those whose run has moved on.

use std::collections::BTreeMap;
use std::sync::Arc;

use neena_bus::remote::{Beat, Reply, Sent};
use tokio::time::{MissedTickBehavior, interval};
use tokio_util::sync::CancellationToken;
use tracing::info;
use uuid::Uuid;

use super::guest::Guest;
use super::{BEAT, Remote};
use crate::Shared;

/// Beats until `stop`.
pub(super) async fn run(shared: Arc<Shared>, stop: CancellationToken) {
    let Some(remote) = &shared.remote else {
        return;
    };
    let mut ticks = interval(BEAT);
    ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    loop {
        tokio::select! {
            biased;
            () = stop.cancelled() => return,
            _ = ticks.tick() => {}
        }
        let guests = remote.guests.all();
        if !guests.is_empty() {
            tell(&shared, remote, &guests).await;
            look(&shared, &guests).await;
        }
    }
}

/// One beat for each owner and integration.
async fn tell(shared: &Shared, remote: &Remote, guests: &[(Uuid, Guest)]) {
    let mut owners: BTreeMap<(&str, &str), Vec<&(Uuid, Guest)>> = BTreeMap::new();
    for one in guests {
        let owner = (one.1.reply_to.as_str(), one.1.integration.as_str());
        owners.entry(owner).or_default().push(one);
    }
    for ((reply_to, integration), of_owner) in owners {
        let beat = Reply::Beat(Beat {
            dispatches: of_owner.iter().map(|(dispatch, _)| *dispatch).collect(),
            integration: integration.to_owned(),
            executor: shared.settings.name.clone(),
        });
        if let Ok(Sent::Nobody) = remote.bus.answer(reply_to, &beat).await {
            info!("the owner of a task that runs here is gone; stopping it");
            of_owner.iter().for_each(|(_, guest)| guest.stop.cancel());
        }
    }
}

/// Stops tasks whose run does not go on under the claim that sent them: nobody waits for them.
async fn look(shared: &Shared, guests: &[(Uuid, Guest)]) {
    let claims: Vec<_> = guests
        .iter()
        .map(|(_, guest)| (guest.run, guest.epoch))
        .collect();
    let Ok(stands) = shared.store.current(&claims).await else {
        return;
    };
    for ((_, guest), stands) in guests.iter().zip(stands) {
        if !stands {
            guest.stop.cancel();
        }
    }
}
