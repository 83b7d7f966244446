//! Which attempts are out, and the replies that come for them.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use neena_bus::remote::{Order, Reply};
use parking_lot::Mutex;
use tokio::sync::mpsc;
use tokio_util::sync::CancellationToken;
use tracing::warn;
use uuid::Uuid;

use super::Remote;
use crate::Shared;

/// Replies that may wait for one attempt.
const WORDS: usize = 16;

/// The newest dispatch of each attempt that is out, and who waits for its replies.
#[derive(Debug, Default)]
pub(crate) struct Dispatches(Mutex<BTreeMap<Uuid, (String, mpsc::Sender<Reply>)>>);

/// A dispatch that is pending, as long as this lives.
pub(super) struct Pending<'a> {
    dispatches: &'a Dispatches,
    pub id: Uuid,
    pub words: mpsc::Receiver<Reply>,
}

impl Dispatches {
    pub(super) fn open(&self, id: Uuid, integration: &str) -> Pending<'_> {
        let (sender, words) = mpsc::channel(WORDS);
        self.0.lock().insert(id, (integration.to_owned(), sender));
        Pending {
            dispatches: self,
            id,
            words,
        }
    }

    /// Who waits for a reply to `dispatch` that is signed for `integration`.
    fn waiting_for(&self, dispatch: Uuid, integration: &str) -> Option<mpsc::Sender<Reply>> {
        let open = self.0.lock();
        let (of, sender) = open.get(&dispatch)?;
        (of == integration).then(|| sender.clone())
    }
}

impl Drop for Pending<'_> {
    fn drop(&mut self) {
        self.dispatches.0.lock().remove(&self.id);
    }
}

/// Passes replies on to the attempts that wait for them, until `stop`.
pub(super) async fn replies(shared: Arc<Shared>, stop: CancellationToken) {
    let Some(remote) = &shared.remote else {
        return;
    };
    let mut replies = loop {
        match remote.bus.replies(remote.address).await {
            Ok(replies) => break replies,
            Err(problem) => warn!(%problem, "no replies; trying again"),
        }
        tokio::select! {
            biased;
            () = stop.cancelled() => return,
            () = tokio::time::sleep(Duration::from_secs(1)) => {}
        }
    };
    loop {
        let reply = tokio::select! {
            biased;
            () = stop.cancelled() => return,
            reply = replies.recv() => match reply {
                Some(reply) => reply,
                None => return,
            },
        };
        match &reply {
            Reply::Accepted(accepted) => {
                if !tell(remote, accepted.dispatch, &reply).await {
                    // Nobody waits for it: withdrawn meanwhile, or sent again since.
                    let stop = Order::Stop {
                        dispatch: accepted.dispatch,
                        grace_ms: 0,
                    };
                    let integration = accepted.integration.as_str();
                    remote
                        .bus
                        .order(&accepted.control_queue, integration, &stop)
                        .await;
                }
            }
            Reply::Beat(beat) => {
                for dispatch in &beat.dispatches {
                    if let Some(waiting) = remote
                        .dispatches
                        .waiting_for(*dispatch, reply.integration())
                    {
                        // Full: it has more than a beat to read.
                        let _ = waiting.try_send(reply.clone());
                    }
                }
            }
            Reply::Done(done) => {
                tell(remote, done.dispatch, &reply).await;
            }
        }
    }
}

/// Whether somebody waited for it.
async fn tell(remote: &Remote, dispatch: Uuid, reply: &Reply) -> bool {
    match remote.dispatches.waiting_for(dispatch, reply.integration()) {
        Some(waiting) => waiting.send(reply.clone()).await.is_ok(),
        None => false,
    }
}
