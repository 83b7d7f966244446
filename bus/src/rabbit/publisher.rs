//! Publishing with confirms, in rounds: what is handed over together, or waits when a round begins, is published
//! at once, and the next round begins when all of it is confirmed. A returned message may ride on the confirm
//! of any other one of its round; it is known by its own id.

use std::collections::HashSet;
use std::sync::Arc;
use std::time::Duration;

use futures_util::FutureExt;
use futures_util::future::FusedFuture;
use lapin::options::{BasicPublishOptions, ConfirmSelectOptions};
use lapin::types::ShortString;
use lapin::{BasicProperties, Channel, Confirmation, PublisherConfirm};
use tokio::sync::{mpsc, oneshot};
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;
use uuid::Uuid;

use super::link::{Link, Open};
use super::names::Names;
use super::topology;
use super::trouble::{Trouble, answered};

/// Messages of one round; a larger batch is a round of its own.
const TOGETHER: usize = 500;
/// Batches that may wait for their round.
const WAITING: usize = 256;

/// A message to be published.
#[derive(Debug)]
pub(crate) struct Letter {
    /// Its message id: what a return is known by.
    pub(crate) id: Uuid,
    pub(crate) exchange: ShortString,
    pub(crate) routing_key: ShortString,
    /// Whether some queue must take it.
    pub(crate) mandatory: bool,
    pub(crate) properties: BasicProperties,
    pub(crate) body: Vec<u8>,
}

/// What became of a letter.
#[derive(Clone, Debug)]
pub(crate) enum Fate {
    /// The broker has it.
    Taken,
    /// No queue wanted it.
    Returned,
    /// Unknown, or certainly not published.
    Failed(String),
}

#[derive(Debug)]
struct Batch {
    letters: Vec<Letter>,
    fates: oneshot::Sender<Vec<Fate>>,
}

/// A publisher with a channel of its own; cheap to clone.
#[derive(Clone, Debug)]
pub(super) struct Publisher(mpsc::Sender<Batch>);

impl Publisher {
    /// Starts a publisher; a confirm that takes longer than `limit` counts as lost, with its connection.
    pub(super) fn start(
        link: Link,
        names: Names,
        limit: Duration,
        tracker: &TaskTracker,
        stop: CancellationToken,
    ) -> Publisher {
        let (sender, batches) = mpsc::channel(WAITING);
        let press = Press {
            link,
            names,
            limit,
            channel: None,
        };
        tracker.spawn(press.run(batches, stop));
        Publisher(sender)
    }

    /// Publishes letters; the fate of each, in order.
    pub(super) async fn publish(&self, letters: Vec<Letter>) -> Vec<Fate> {
        let count = letters.len();
        let (fates, told) = oneshot::channel();
        let closed = || vec![Fate::Failed("the bus was closed".to_owned()); count];
        match self.0.send(Batch { letters, fates }).await {
            Ok(()) => told.await.unwrap_or_else(|_| closed()),
            Err(_) => closed(),
        }
    }

    /// Publishes one letter; its fate.
    pub(super) async fn publish_one(&self, letter: Letter) -> Fate {
        let fates = self.publish(vec![letter]).await;
        let fate = fates.into_iter().next();
        fate.unwrap_or_else(|| Fate::Failed("not published".to_owned()))
    }

    /// Publishes a letter that nobody waits for, if there is room.
    pub(super) fn toss(&self, letter: Letter) {
        let (fates, _) = oneshot::channel();
        let letters = vec![letter];
        if self.0.try_send(Batch { letters, fates }).is_err() {
            tracing::debug!("a message was dropped: too many wait to be published");
        }
    }
}

/// Publishes round after round.
struct Press {
    link: Link,
    names: Names,
    limit: Duration,
    /// The channel, of the connection it belongs to.
    channel: Option<(Arc<Open>, Channel)>,
}

impl Press {
    async fn run(mut self, mut batches: mpsc::Receiver<Batch>, stop: CancellationToken) {
        loop {
            let first = tokio::select! {
                biased;
                () = stop.cancelled() => return,
                batch = batches.recv() => batch,
            };
            let Some(first) = first else { return };
            let mut count = first.letters.len();
            let mut round = vec![first];
            while count < TOGETHER {
                let Ok(more) = batches.try_recv() else { break };
                count += more.letters.len();
                round.push(more);
            }
            let letters: Vec<&Letter> = round.iter().flat_map(|batch| &batch.letters).collect();
            let mut fates = self.publish(&letters).await.into_iter();
            for batch in round {
                let own = fates.by_ref().take(batch.letters.len()).collect();
                // Whoever asked may have gone.
                let _ = batch.fates.send(own);
            }
        }
    }

    async fn publish(&mut self, letters: &[&Letter]) -> Vec<Fate> {
        let failed = |why: String| vec![Fate::Failed(why); letters.len()];
        let open = match self.link.now() {
            Ok(open) => open,
            Err(why) => return failed(why),
        };
        if let Some(why) = self.link.blocked().borrow().clone() {
            return failed(format!("the broker takes nothing: {why}"));
        }
        let channel = match self.channel_of(&open).await {
            Ok(channel) => channel,
            Err(trouble) => {
                open.judge(&trouble);
                return failed(trouble.to_string());
            }
        };
        let fates = self.round(&open, &channel, letters).await;
        if !channel.status().connected() {
            self.channel = None;
        }
        let events = self.names.events();
        let homeless = letters.iter().zip(&fates).any(|(letter, fate)| {
            matches!(fate, Fate::Returned) && letter.exchange.as_str() == events
        });
        if homeless {
            tracing::warn!("a wake-up found no queue; declaring the queues again");
            if let Err(trouble) = topology::declare(&channel, &self.names).await {
                self.channel = None;
                open.judge(&trouble);
            }
        }
        fates
    }

    /// The channel of this connection; made, with everything it publishes to, if there is none.
    async fn channel_of(&mut self, open: &Arc<Open>) -> Result<Channel, Trouble> {
        if let Some((of, channel)) = &self.channel
            && Arc::ptr_eq(of, open)
            && channel.status().connected()
        {
            return Ok(channel.clone());
        }
        self.channel = None;
        let channel = open.channel().await?;
        topology::declare(&channel, &self.names).await?;
        let confirms = channel.confirm_select(ConfirmSelectOptions::default());
        answered("confirm.select", confirms).await?;
        self.channel = Some((Arc::clone(open), channel.clone()));
        Ok(channel)
    }

    /// Publishes all, then waits for all confirms.
    async fn round(&self, open: &Open, channel: &Channel, letters: &[&Letter]) -> Vec<Fate> {
        let mut blocked = self.link.blocked();
        let given_up = async {
            tokio::select! {
                biased;
                () = open.lost() => "the connection was lost".to_owned(),
                Ok(why) = blocked.wait_for(Option::is_some) =>
                    format!("the broker takes nothing: {}", why.as_deref().unwrap_or_default()),
                () = tokio::time::sleep(self.limit) => {
                    let why = Trouble::Slow("a publish");
                    open.lose(&why);
                    why.to_string()
                }
            }
        }
        .fuse();
        tokio::pin!(given_up);
        let mut over: Option<String> = None;
        let mut confirms: Vec<Option<PublisherConfirm>> = Vec::with_capacity(letters.len());
        for letter in letters {
            let confirm = match &over {
                Some(_) => None,
                None => tokio::select! {
                    biased;
                    sent = send(channel, letter) => match sent {
                        Ok(confirm) => Some(confirm),
                        Err(error) => {
                            over = Some(error.to_string());
                            None
                        }
                    },
                    why = &mut given_up => {
                        over = Some(why);
                        None
                    }
                },
            };
            confirms.push(confirm);
        }
        let mut answers = Vec::with_capacity(letters.len());
        for confirm in confirms {
            let answer = match confirm {
                None => None,
                Some(confirm) if given_up.is_terminated() => confirm.now_or_never(),
                Some(mut confirm) => tokio::select! {
                    biased;
                    answer = &mut confirm => Some(answer),
                    why = &mut given_up => {
                        over = Some(why);
                        None
                    }
                },
            };
            answers.push(answer);
        }
        fates(letters, answers, over)
    }
}

async fn send(channel: &Channel, letter: &Letter) -> lapin::Result<PublisherConfirm> {
    let options = BasicPublishOptions {
        mandatory: letter.mandatory && !tossed(),
        immediate: false,
    };
    channel
        .basic_publish(
            letter.exchange.clone(),
            letter.routing_key.clone(),
            options,
            &letter.body,
            letter.properties.clone(),
        )
        .await
}

/// A planted bug: nobody is told of messages that no queue wanted.
fn tossed() -> bool {
    fail::fail_point!("publish.not_mandatory", |_| true);
    false
}

/// The fate of each letter, by the answers to all of them.
fn fates(
    letters: &[&Letter],
    answers: Vec<Option<lapin::Result<Confirmation>>>,
    over: Option<String>,
) -> Vec<Fate> {
    let mut returned: HashSet<String> = HashSet::new();
    let mut fates = Vec::with_capacity(letters.len());
    for answer in answers {
        fates.push(match answer {
            Some(Ok(confirmation)) => {
                let fate = match confirmation {
                    Confirmation::Ack(_) => Fate::Taken,
                    Confirmation::Nack(_) => Fate::Failed("the broker refused it".to_owned()),
                    Confirmation::NotRequested => Fate::Failed("not confirmed".to_owned()),
                };
                let back = confirmation.take_message();
                let id = back.and_then(|back| back.properties.message_id().clone());
                returned.extend(id.map(String::from));
                fate
            }
            Some(Err(error)) => Fate::Failed(error.to_string()),
            None => Fate::Failed(over.clone().unwrap_or_else(|| "not confirmed".to_owned())),
        });
    }
    for (letter, fate) in letters.iter().zip(&mut fates) {
        if returned.contains(&letter.id.to_string()) {
            *fate = Fate::Returned;
        }
    }
    fates
}
