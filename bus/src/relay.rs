//! From commit to broker: publishes the messages this process committed, then deletes them from the
//! outbox. It reads no table; what it loses, a keeper finds there.

use std::sync::Arc;
use std::time::Duration;

use neena_store::{Message, Outlet, Store};
use tokio::sync::mpsc;
use tokio::task::JoinHandle;
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;
use uuid::Uuid;

use crate::Bus;

/// Messages published together, and ids deleted together.
const TOGETHER: usize = 500;
/// How long a published message may stay in the outbox.
const LINGER: Duration = Duration::from_millis(50);

/// The relay of a process.
#[derive(Debug)]
pub struct Relay {
    stop: CancellationToken,
    task: JoinHandle<()>,
}

impl Relay {
    /// Starts the relay; messages are handed to it through the outlet, after their commit.
    pub fn start(store: Arc<dyn Store>, bus: Arc<dyn Bus>) -> (Outlet, Relay) {
        let (outlet, messages) = neena_store::outlet();
        let stop = CancellationToken::new();
        let task = tokio::spawn(run(
            Loop {
                store,
                bus,
                done: Vec::new(),
                due: None,
            },
            messages,
            stop.clone(),
        ));
        (outlet, Relay { stop, task })
    }

    /// Publishes what was handed over, deletes what was published, and ends.
    pub async fn close(self) {
        self.stop.cancel();
        // It panics nowhere; if it was aborted with its runtime there is nothing to wait for.
        let _ = self.task.await;
    }
}

struct Loop {
    store: Arc<dyn Store>,
    bus: Arc<dyn Bus>,
    /// Published and not yet deleted.
    done: Vec<Uuid>,
    /// When the oldest of these is to be deleted.
    due: Option<Instant>,
}

async fn run(mut relay: Loop, mut messages: mpsc::Receiver<Message>, stop: CancellationToken) {
    let mut batch = Vec::with_capacity(TOGETHER);
    loop {
        batch.clear();
        let due = relay.due;
        tokio::select! {
            biased;
            () = at(due) => relay.delete().await,
            count = messages.recv_many(&mut batch, TOGETHER) => match count {
                0 => break,
                _ => relay.publish(&batch).await,
            },
            () = stop.cancelled() => break,
        }
    }
    messages.close();
    while messages.recv_many(&mut batch, TOGETHER).await > 0 {
        relay.publish(&batch).await;
        batch.clear();
    }
    relay.delete().await;
}

impl Loop {
    async fn publish(&mut self, messages: &[Message]) {
        fail::fail_point!("relay.before_publish", |_| std::process::abort());
        match self.bus.publish(messages).await {
            Ok(taken) => {
                fail::fail_point!("relay.after_publish", |_| std::process::abort());
                metrics::counter!("neena_outbox_published_total").increment(taken.len() as u64);
                self.done.extend(taken);
                self.due = self.due.or_else(|| Some(Instant::now() + LINGER));
            }
            Err(error) => tracing::debug!(%error, "messages stay in the outbox"),
        }
        if self.done.len() >= TOGETHER {
            self.delete().await;
        }
    }

    async fn delete(&mut self) {
        self.due = None;
        let done = std::mem::take(&mut self.done);
        if done.is_empty() {
            return;
        }
        if let Err(error) = self.store.outbox_done(&done).await {
            // They are published once more, which consumers do not mind.
            tracing::debug!(%error, "published messages stay in the outbox");
        }
    }
}

async fn at(moment: Option<Instant>) {
    match moment {
        Some(moment) => tokio::time::sleep_until(moment).await,
        None => std::future::pending().await,
    }
}
