//! The bus of one process: queues in memory, empty after a restart, when recovery wakes every run anew.

mod tasks;

use std::collections::{HashMap, VecDeque};
use std::sync::Arc;

use async_trait::async_trait;
use neena_engine::ids::{RunId, WorkerId};
use neena_store::Message;
use parking_lot::Mutex;
use tokio::sync::{Notify, mpsc};
use uuid::Uuid;

use crate::{Bus, BusError, Inbox, Wake};

/// Wake-ups that may wait; beyond that they stay in the outbox and workers find runs in the table.
const WAKES: usize = 10_000;
/// Pokes that may wait for a worker; beyond that its next beat finds them.
const POKES: usize = 1_024;

/// A bus within this process; cheap to clone.
#[derive(Clone, Debug, Default)]
pub struct InProcess(Arc<Shared>);

#[derive(Debug, Default)]
struct Shared {
    wakes: Mutex<VecDeque<Wake>>,
    arrived: Notify,
    pokes: Mutex<HashMap<WorkerId, mpsc::Sender<RunId>>>,
    tasks: tasks::Tasks,
}

impl InProcess {
    /// A bus with nothing on it.
    pub fn new() -> InProcess {
        InProcess::default()
    }
}

impl Shared {
    fn take(&self, most: usize) -> Vec<Wake> {
        let (taken, more) = {
            let mut wakes = self.wakes.lock();
            let count = wakes.len().min(most);
            (wakes.drain(..count).collect::<Vec<_>>(), !wakes.is_empty())
        };
        if more {
            self.arrived.notify_one();
        }
        taken
    }
}

#[async_trait]
impl Bus for InProcess {
    async fn publish(&self, messages: &[Message]) -> Result<Vec<Uuid>, BusError> {
        let mut taken = Vec::with_capacity(messages.len());
        {
            let mut wakes = self.0.wakes.lock();
            for message in messages {
                // Nobody else listens in one process: what wakes no worker is done.
                if message.wakes_workers() {
                    if wakes.len() >= WAKES {
                        continue;
                    }
                    wakes.push_back(Wake {
                        id: message.id,
                        run: message.run,
                    });
                }
                taken.push(message.id);
            }
        }
        self.0.arrived.notify_one();
        Ok(taken)
    }

    async fn poke(&self, worker: WorkerId, run: RunId) {
        let mut pokes = self.0.pokes.lock();
        match pokes.get(&worker).map(|sender| sender.try_send(run)) {
            Some(Err(mpsc::error::TrySendError::Closed(_))) => {
                pokes.remove(&worker);
            }
            Some(Ok(()) | Err(mpsc::error::TrySendError::Full(_))) | None => {}
        }
    }

    async fn consume(&self, _worker: WorkerId) -> Result<Box<dyn Inbox>, BusError> {
        Ok(Box::new(Consumer(Arc::clone(&self.0))))
    }

    async fn pokes(&self, worker: WorkerId) -> mpsc::Receiver<RunId> {
        let (sender, receiver) = mpsc::channel(POKES);
        self.0.pokes.lock().insert(worker, sender);
        receiver
    }
}

#[derive(Debug)]
struct Consumer(Arc<Shared>);

#[async_trait]
impl Inbox for Consumer {
    async fn wakes(&mut self, most: usize) -> Vec<Wake> {
        loop {
            let arrived = self.0.arrived.notified();
            let taken = self.0.take(most);
            if !taken.is_empty() {
                return taken;
            }
            arrived.await;
        }
    }

    async fn ack(&mut self, _wakes: Vec<Wake>) {}

    async fn release(&mut self, wakes: Vec<Wake>) {
        {
            let mut queue = self.0.wakes.lock();
            wakes
                .into_iter()
                .rev()
                .for_each(|wake| queue.push_front(wake));
        }
        self.0.arrived.notify_one();
    }
}
