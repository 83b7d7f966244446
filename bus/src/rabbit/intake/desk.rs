//! The consumers behind an intake: made when something is wanted, ended when it is not, and made anew whenever
//! they are lost.

use std::sync::Arc;
use std::time::Duration;

use futures_util::stream::{SelectAll, StreamExt, once};
use lapin::message::Delivery;
use lapin::options::{BasicCancelOptions, BasicConsumeOptions, BasicQosOptions};
use lapin::types::{FieldTable, ShortString};
use lapin::{Channel, Consumer};
use tokio::sync::watch;
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

use super::super::backoff::Backoff;
use super::super::link::{Link, Open};
use super::super::names::Names;
use super::super::topology;
use super::super::trouble::{Trouble, answered, short};
use super::{Arrival, Read, Settle, Shared, Source, Want, settle};

/// How long deliveries that were sent before a consumer was cancelled are waited for.
const REST: Duration = Duration::from_secs(1);

/// How long a consumer that gets nothing is trusted. After a quorum queue was deleted and made anew within
/// moments, the broker may believe in the old consumer, and deliver nothing to it.
const QUIET: Duration = Duration::from_secs(20);

/// Takes from the queues on behalf of an intake.
pub(super) struct Desk<T> {
    pub(super) link: Link,
    pub(super) names: Names,
    pub(super) source: Source,
    pub(super) read: Read<T>,
    pub(super) shared: Arc<Shared<T>>,
    pub(super) stop: CancellationToken,
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
    pub(super) async fn run(self) {
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
