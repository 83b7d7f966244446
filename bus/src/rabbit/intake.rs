//! Taking deliveries from queues while somebody wants them. What was delivered and is not wanted after all goes
//! back, so that a full worker keeps nothing from the others.

mod desk;

use std::collections::VecDeque;
use std::fmt::{self, Debug};
use std::sync::Arc;
use std::time::Duration;

use lapin::Channel;
use lapin::message::Delivery;
use lapin::options::{BasicAckOptions, BasicNackOptions, BasicRejectOptions};
use parking_lot::Mutex;
use tokio::sync::{Notify, watch};
use tokio::time::Instant;
use tokio_util::sync::{CancellationToken, DropGuard};
use tokio_util::task::TaskTracker;

use super::link::Link;
use super::names::Names;
use super::trouble::answered;
use desk::Desk;

/// What is taken from.
#[derive(Clone, Debug)]
pub(super) enum Source {
    /// The queue of wake-ups.
    Runs,
    /// Queues of tasks.
    Tasks(Vec<String>),
    /// The queue of replies, or of pokes and orders, of one worker.
    Letters(String),
}

/// How much is wanted.
#[derive(Clone, Copy, Debug, PartialEq)]
enum Want {
    Nothing,
    /// So many unacknowledged at once.
    Up(u16),
    /// The same as before until then, in case it is wanted again.
    Until(Instant),
}

/// Takes deliveries and reads them; ends when dropped.
#[derive(Debug)]
pub(super) struct Intake<T> {
    shared: Arc<Shared<T>>,
    _stop: DropGuard,
}

#[derive(Debug)]
struct Shared<T> {
    ready: Mutex<VecDeque<Arrival<T>>>,
    arrived: Notify,
    want: watch::Sender<Want>,
    /// Whether deliveries are being taken.
    taking: watch::Sender<bool>,
}

/// A delivery that was read.
pub(super) struct Arrival<T> {
    pub(super) item: T,
    pub(super) redelivered: bool,
    delivery: Delivery,
    /// A delivery can be settled for as long as its channel is open.
    _channel: Channel,
}

/// How a delivery is settled.
#[derive(Clone, Copy, Debug)]
pub(super) enum Settle {
    Done,
    Back,
    Dead,
}

/// Reads a delivery; an error sends it to the dead letters.
type Read<T> = Box<dyn Fn(&Delivery) -> Result<T, String> + Send + Sync>;

impl<T: Send + 'static> Intake<T> {
    /// An intake that takes nothing until it is wanted.
    pub(super) fn start(
        link: Link,
        names: Names,
        source: Source,
        read: impl Fn(&Delivery) -> Result<T, String> + Send + Sync + 'static,
        tracker: &TaskTracker,
        stop: CancellationToken,
    ) -> Intake<T> {
        let shared = Arc::new(Shared {
            ready: Mutex::default(),
            arrived: Notify::new(),
            want: watch::Sender::new(Want::Nothing),
            taking: watch::Sender::new(false),
        });
        let desk = Desk {
            link,
            names,
            source,
            read: Box::new(read),
            shared: Arc::clone(&shared),
            stop: stop.clone(),
        };
        tracker.spawn(desk.run());
        Intake {
            shared,
            _stop: stop.drop_guard(),
        }
    }

    /// Takes deliveries from now on, so many unacknowledged at once from each queue.
    pub(super) fn want(&self, most: u16) {
        self.set(Want::Up(most));
    }

    /// Goes on taking deliveries for a while, in case they are wanted again.
    pub(super) fn linger(&self, time: Duration) {
        self.set(Want::Until(Instant::now() + time));
    }

    /// Takes nothing more, and gives back what was not handed out.
    pub(super) async fn pause(&self) {
        self.set(Want::Nothing);
        let mut taking = self.shared.taking.subscribe();
        // It ends with the bus.
        let _ = taking.wait_for(|taking| !taking).await;
    }

    /// Waits until deliveries are taken.
    pub(super) async fn taking(&self) {
        let mut taking = self.shared.taking.subscribe();
        let _ = taking.wait_for(|taking| *taking).await;
    }

    /// Waits for deliveries; up to `most` that are there together. Nothing is lost if the call is dropped.
    pub(super) async fn next(&self, most: usize) -> Vec<Arrival<T>> {
        loop {
            let arrived = self.shared.arrived.notified();
            let taken: Vec<Arrival<T>> = {
                let mut ready = self.shared.ready.lock();
                let count = ready.len().min(most);
                ready.drain(..count).collect()
            };
            if !taken.is_empty() {
                return taken;
            }
            arrived.await;
        }
    }

    fn set(&self, want: Want) {
        self.shared.want.send_if_modified(|now| {
            let changed = *now != want;
            *now = want;
            changed
        });
    }
}

impl<T> Arrival<T> {
    /// Tells the broker. If the connection was lost meanwhile, the broker delivers it again.
    pub(super) async fn settle(self, how: Settle) {
        settle(&self.delivery, how).await;
    }
}

impl<T: Debug> Debug for Arrival<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Arrival").field("item", &self.item).finish()
    }
}

async fn settle(delivery: &Delivery, how: Settle) {
    let done = match how {
        Settle::Done => answered("basic.ack", delivery.ack(BasicAckOptions::default())).await,
        Settle::Back => {
            let options = BasicNackOptions {
                multiple: false,
                requeue: true,
            };
            answered("basic.nack", delivery.nack(options)).await
        }
        Settle::Dead => {
            let options = BasicRejectOptions { requeue: false };
            answered("basic.reject", delivery.reject(options)).await
        }
    };
    if let Err(trouble) = done {
        tracing::debug!(%trouble, "a delivery could not be settled; the broker delivers it again");
    }
}
