//! Taking deliveries from queues while somebody wants them. What was delivered and is not wanted after all goes
//! back, so that a full worker keeps nothing from the others.

use std::collections::VecDeque;
use std::fmt::{self, Debug};
use std::sync::Arc;
use std::time::Duration;

use futures_util::stream::{SelectAll, StreamExt, once};
use lapin::message::Delivery;
use lapin::options::{
    BasicAckOptions, BasicCancelOptions, BasicConsumeOptions, BasicNackOptions, BasicQosOptions,
    BasicRejectOptions,
};
use lapin::types::{FieldTable, ShortString};
use lapin::{Channel, Consumer};
use parking_lot::Mutex;
use tokio::sync::{Notify, watch};
use tokio::time::Instant;
use tokio_util::sync::{CancellationToken, DropGuard};
use tokio_util::task::TaskTracker;

use super::backoff::Backoff;
use super::link::{Link, Open};
use super::names::Names;
use super::topology;
use super::trouble::{Trouble, answered, short};

/// How long deliveries that were sent before a consumer was cancelled are waited for.
const REST: Duration = Duration::from_secs(1);

/// How long a consumer that gets nothing is trusted. After a quorum queue was deleted and made anew within
/// moments, the broker may believe in the old consumer, and deliver nothing to it.
const QUIET: Duration = Duration::from_secs(20);

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

/// Takes from the queues on behalf of an intake.
struct Desk<T> {
    link: Link,
    names: Names,
    source: Source,
    read: Read<T>,
    shared: Arc<Shared<T>>,
    stop: CancellationToken,
}

/// Why an orderly session ended.
enum Ended {
    Stopped,
    /// Nothing is wanted, or more than the session was made for.
    Unwanted,
    /// Nothing came for long.
    Quiet,
}

/// What the consumers of a session get; nothing at the end of each.
type Deliveries =
    SelectAll<futures_util::stream::BoxStream<'static, Option<lapin::Result<Delivery>>>>;

/// The consumers of one channel.
struct Session {
    channel: Channel,
    tags: Vec<ShortString>,
    deliveries: Deliveries,
    most: u16,
}

impl<T: Send + 'static> Desk<T> {
    async fn run(self) {
        let mut backoff = Backoff::new();
        let mut want = self.shared.want.subscribe();
        // The queues are there, as far as is known.
        let mut declared = false;
        loop {
            let open = async {
                want.wait_for(|want| matches!(want, Want::Up(_)))
                    .await
                    .ok()?;
                self.link.up().await
            };
            let open = tokio::select! {
                biased;
                () = self.stop.cancelled() => return,
                open = open => open,
            };
            let Some(open) = open else { return };
            let ended = self.serve(&open, declared).await;
            self.shared.taking.send_replace(false);
            match ended {
                Ok(Ended::Stopped) => return,
                Ok(Ended::Unwanted) => declared = true,
                Ok(Ended::Quiet) => declared = false,
                Err(trouble) => {
                    declared = false;
                    // The broker delivers these again.
                    self.shared.ready.lock().clear();
                    open.judge(&trouble);
                    tracing::debug!(source = ?self.source, %trouble, "consuming again");
                    tokio::select! {
                        biased;
                        () = self.stop.cancelled() => return,
                        () = tokio::time::sleep(backoff.delay()) => {}
                    }
                }
            }
        }
    }

    async fn serve(&self, open: &Open, declared: bool) -> Result<Ended, Trouble> {
        let Want::Up(most) = *self.shared.want.borrow() else {
            return Ok(Ended::Unwanted);
        };
        let channel = open.channel().await?;
        if !declared {
            self.declare(&channel).await?;
        }
        let mut session = self.begin(channel, most).await?;
        self.shared.taking.send_replace(true);
        let mut want = self.shared.want.subscribe();
        let mut quiet = Instant::now() + QUIET;
        loop {
            tokio::select! {
                biased;
                () = self.stop.cancelled() => {
                    self.end(session).await?;
                    return Ok(Ended::Stopped);
                }
                () = open.lost() => return Err(Trouble::Lost("the connection was lost".to_owned())),
                () = unwanted(&mut want, session.most) => {
                    self.end(session).await?;
                    return Ok(Ended::Unwanted);
                }
                delivery = session.deliveries.next() => match delivery.flatten() {
                    Some(delivery) => {
                        self.take(&session.channel, delivery?).await;
                        quiet = Instant::now() + QUIET;
                    }
                    None => return Err(Trouble::Cancelled),
                },
                () = tokio::time::sleep_until(quiet) => {
                    self.end(session).await?;
                    return Ok(Ended::Quiet);
                }
            }
        }
    }

    async fn declare(&self, channel: &Channel) -> Result<(), Trouble> {
        match &self.source {
            Source::Runs => topology::declare(channel, &self.names).await,
            Source::Tasks(queues) => {
                for queue in queues {
                    topology::declare_tasks(channel, &self.names, queue).await?;
                }
                Ok(())
            }
            Source::Letters(queue) => topology::declare_letters(channel, &self.names, queue).await,
        }
    }

    async fn begin(&self, channel: Channel, most: u16) -> Result<Session, Trouble> {
        let queues = match &self.source {
            Source::Runs => vec![self.names.runs()],
            Source::Tasks(queues) => queues.clone(),
            Source::Letters(queue) => vec![queue.clone()],
        };
        let qos = channel.basic_qos(most, BasicQosOptions::default());
        answered("basic.qos", qos).await?;
        let mut session = Session {
            channel,
            tags: Vec::with_capacity(queues.len()),
            deliveries: SelectAll::new(),
            most,
        };
        for queue in queues {
            let consuming = session.channel.basic_consume(
                short(&queue)?,
                ShortString::default(),
                BasicConsumeOptions::default(),
                FieldTable::default(),
            );
            let consumer: Consumer = answered("basic.consume", consuming).await?;
            session.tags.push(consumer.tag());
            let ended = once(async { None });
            session
                .deliveries
                .push(consumer.map(Some).chain(ended).boxed());
        }
        Ok(session)
    }

    /// Makes a delivery ready to be handed out, if it can be read.
    async fn take(&self, channel: &Channel, delivery: Delivery) {
        match (self.read)(&delivery) {
            Ok(item) => {
                let arrival = Arrival {
                    item,
                    redelivered: delivery.redelivered,
                    delivery,
                    _channel: channel.clone(),
                };
                self.shared.ready.lock().push_back(arrival);
                self.shared.arrived.notify_one();
            }
            Err(why) => {
                tracing::warn!(queue = %delivery.routing_key, %why, "a message goes to the dead letters");
                settle(&delivery, Settle::Dead).await;
            }
        }
    }

    /// Cancels the consumers, and gives back what was not handed out.
    async fn end(&self, mut session: Session) -> Result<(), Trouble> {
        for tag in session.tags {
            let cancelling = session
                .channel
                .basic_cancel(tag, BasicCancelOptions::default());
            answered("basic.cancel", cancelling).await?;
        }
        let mut unseen: Vec<Delivery> = {
            let mut ready = self.shared.ready.lock();
            ready.drain(..).map(|arrival| arrival.delivery).collect()
        };
        let rest = async {
            while let Some(delivery) = session.deliveries.next().await {
                unseen.extend(delivery.and_then(Result::ok));
            }
        };
        if tokio::time::timeout(REST, rest).await.is_err() {
            return Err(Trouble::Slow("the rest of the deliveries"));
        }
        // The newest first: each goes back to the head of the queue.
        for delivery in unseen.iter().rev() {
            settle(delivery, Settle::Back).await;
        }
        Ok(())
    }
}

/// Waits until nothing is wanted, or much more than `most`.
async fn unwanted(want: &mut watch::Receiver<Want>, most: u16) {
    loop {
        let now = *want.borrow_and_update();
        let until = match now {
            Want::Nothing => return,
            Want::Up(more) if more >= most.saturating_mul(2) => return,
            Want::Up(_) => None,
            Want::Until(until) => Some(until),
        };
        let over = async {
            match until {
                Some(until) => tokio::time::sleep_until(until).await,
                None => std::future::pending().await,
            }
        };
        tokio::select! {
            biased;
            changed = want.changed() => if changed.is_err() { return },
            () = over => return,
        }
    }
}
