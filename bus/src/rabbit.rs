//! The bus by RabbitMQ. Two connections, one for publishing and one for consuming: a broker short of memory stops
//! those who publish, and must not stop those who take.
//!
//! A broker that is away is never an error of this process: messages stay in the outbox, workers find runs in
//! the table, and the connections are made anew behind everything here, without end.

mod backoff;
mod control;
mod intake;
mod link;
pub(crate) mod names;
pub(crate) mod publisher;
mod tasks;
pub(crate) mod topology;
pub(crate) mod trouble;
mod wakes;
mod wire;

use std::fmt::{self, Debug};
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use lapin::message::Delivery;
use lapin::types::ShortString;
use lapin::uri::AMQPUri;
use metrics::gauge;
use neena_engine::ids::{RunId, WorkerId};
use neena_store::Message;
use tokio::sync::mpsc;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;
use uuid::Uuid;

use crate::remote::{TaskBus, TaskKeys};
use crate::{Bus, BusError, CloudEvent, Inbox, Standing, Wake};
use control::{LETTERS, Listeners, Poke};
use intake::{Intake, Source};
use link::{Line, Link};
use names::Names;
use publisher::{Fate, Letter, Publisher};
use trouble::short;

/// How long closing may take.
const CLOSE: Duration = Duration::from_secs(5);

/// How to reach a broker.
#[derive(Clone)]
pub struct RabbitConfig {
    /// `amqp://user:password@host:port/vhost`, or `amqps://…`.
    pub url: String,
    /// The first word of every exchange and queue.
    pub prefix: String,
    /// What the keys of task messages are derived from, at least 32 characters; none: no remote tasks.
    pub master_key: Option<String>,
    /// What the connections are called at the broker.
    pub name: String,
    /// How often both sides show that they live; twice this in silence, and the connection is lost.
    pub heartbeat: Duration,
    /// How long the broker may take to confirm what was published.
    pub confirm: Duration,
}

impl RabbitConfig {
    /// The usual settings for a broker.
    pub fn new(url: impl Into<String>) -> RabbitConfig {
        RabbitConfig {
            url: url.into(),
            prefix: "neena".to_owned(),
            master_key: None,
            name: "neena".to_owned(),
            heartbeat: Duration::from_secs(10),
            confirm: Duration::from_secs(5),
        }
    }
}

impl Debug for RabbitConfig {
    /// Without secrets.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("RabbitConfig")
            .field("prefix", &self.prefix)
            .field("name", &self.name)
            .finish_non_exhaustive()
    }
}

/// The bus by RabbitMQ; cheap to clone, and closed with its last clone.
#[derive(Clone, Debug)]
pub struct Rabbit(Arc<Inner>);

struct Inner {
    names: Names,
    keys: Option<TaskKeys>,
    publishing: Link,
    consuming: Link,
    /// Publishes the outbox.
    messages: Publisher,
    /// Publishes tasks, replies, orders and pokes.
    letters: Publisher,
    listeners: Listeners,
    stop: CancellationToken,
    tracker: TaskTracker,
}

impl Rabbit {
    /// Starts to connect. A broker that is down is no error; a configuration that can never work is.
    pub fn start(config: RabbitConfig) -> Result<Rabbit, BusError> {
        let names = Names::new(&config.prefix)?;
        let keys = match &config.master_key {
            Some(key) => Some(TaskKeys::new(key).map_err(|error| BusError(error.to_string()))?),
            None => None,
        };
        let uri = uri(&config)?;
        let (stop, tracker) = (CancellationToken::new(), TaskTracker::new());
        let link = |what: &str| {
            let what = format!("{} {what}", config.name);
            let (names, stop) = (names.clone(), stop.child_token());
            Link::start(uri.clone(), what, names, &tracker, stop)
        };
        let (publishing, consuming) = (link("publishing"), link("consuming"));
        let publisher = || {
            let (link, names, stop) = (publishing.clone(), names.clone(), stop.child_token());
            Publisher::start(link, names, config.confirm, &tracker, stop)
        };
        let (messages, letters) = (publisher(), publisher());
        let lines = [publishing.line(), consuming.line()];
        tracker.spawn(measure(lines, stop.child_token()));
        Ok(Rabbit(Arc::new(Inner {
            names,
            keys,
            publishing,
            consuming,
            messages,
            letters,
            listeners: Listeners::default(),
            stop,
            tracker,
        })))
    }

    /// What carries tasks; none without a master key, since they could not be signed.
    pub fn tasks_bus(&self) -> Option<Arc<dyn TaskBus>> {
        let keys = self.0.keys.clone()?;
        let rabbit = self.clone();
        Some(Arc::new(tasks::RabbitTasks { rabbit, keys }))
    }

    /// Gives back what was not handed out, and disconnects.
    pub async fn close(&self) {
        self.0.stop.cancel();
        self.0.tracker.close();
        self.0.listeners.clear();
        if tokio::time::timeout(CLOSE, self.0.tracker.wait())
            .await
            .is_err()
        {
            tracing::warn!("the broker was left without a farewell");
        }
    }
}

fn uri(config: &RabbitConfig) -> Result<AMQPUri, BusError> {
    // The message of the error may hold the URL, which holds a password.
    let mut uri: AMQPUri = config.url.parse().map_err(|_| {
        BusError("the URL is not like amqp://user:password@host:port/vhost".to_owned())
    })?;
    let heartbeat = config.heartbeat.as_secs().clamp(1, 600);
    uri.query.heartbeat = u16::try_from(heartbeat).ok();
    uri.query.connection_timeout.get_or_insert(5_000);
    Ok(uri)
}

impl Inner {
    /// Runs something for as long as the bus does.
    fn spawn(&self, task: impl Future<Output = ()> + Send + 'static) {
        let stop = self.stop.child_token();
        self.tracker.spawn(async move {
            tokio::select! {
                biased;
                () = stop.cancelled() => {}
                () = task => {}
            }
        });
    }

    fn intake<T: Send + 'static>(
        &self,
        source: Source,
        read: impl Fn(&Delivery) -> Result<T, String> + Send + Sync + 'static,
    ) -> Intake<T> {
        let (link, names) = (self.consuming.clone(), self.names.clone());
        Intake::start(
            link,
            names,
            source,
            read,
            &self.tracker,
            self.stop.child_token(),
        )
    }

    /// Takes the letters to a worker.
    fn listen(&self, worker: WorkerId) {
        let source = Source::Letters(self.names.control(worker));
        let keys = self.keys.clone();
        let intake = self.intake(source, move |raw| control::read(keys.as_ref(), raw));
        intake.want(LETTERS as u16);
        self.spawn(self.listeners.clone().forward(worker, intake));
    }

    fn letter(&self, message: &Message) -> Result<Letter, BusError> {
        let body = serde_json::to_vec(&CloudEvent::from(message));
        Ok(Letter {
            id: message.id,
            exchange: short(&self.names.events())?,
            routing_key: short(&message.kind)?,
            mandatory: message.wakes_workers(),
            properties: wire::properties(message.id, &message.kind),
            body: body.map_err(|error| BusError(error.to_string()))?,
        })
    }
}

impl Debug for Inner {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Inner")
            .field("names", &self.names)
            .field("publishing", &self.publishing)
            .field("consuming", &self.consuming)
            .finish_non_exhaustive()
    }
}

impl Drop for Inner {
    fn drop(&mut self) {
        self.stop.cancel();
    }
}

#[async_trait]
impl Bus for Rabbit {
    async fn publish(&self, messages: &[Message]) -> Result<Vec<Uuid>, BusError> {
        let letters: Result<Vec<Letter>, BusError> = messages
            .iter()
            .map(|message| self.0.letter(message))
            .collect();
        let fates = self.0.messages.publish(letters?).await;
        let mut taken = Vec::with_capacity(messages.len());
        let mut failed = None;
        for (message, fate) in messages.iter().zip(fates) {
            match fate {
                Fate::Taken => taken.push(message.id),
                Fate::Returned => {}
                Fate::Failed(why) => failed = Some(why),
            }
        }
        match failed {
            Some(why) if taken.is_empty() => Err(BusError(why)),
            _ => Ok(taken),
        }
    }

    async fn poke(&self, worker: WorkerId, run: RunId) {
        let id = Uuid::new_v4();
        let queue = short(&self.0.names.control(worker));
        let body = serde_json::to_vec(&Poke { flow_run: run });
        if let (Ok(routing_key), Ok(body)) = (queue, body) {
            self.0.letters.toss(Letter {
                id,
                exchange: ShortString::default(),
                routing_key,
                mandatory: false,
                properties: wire::properties(id, "poke"),
                body,
            });
        }
    }

    async fn consume(&self, _worker: WorkerId) -> Result<Box<dyn Inbox>, BusError> {
        let intake: Intake<Wake> = self.0.intake(Source::Runs, wakes::read);
        Ok(Box::new(wakes::Wakes::new(intake)))
    }

    async fn pokes(&self, worker: WorkerId) -> mpsc::Receiver<RunId> {
        let (sender, receiver) = mpsc::channel(LETTERS);
        if self.0.listeners.pokes(worker, sender) {
            self.0.listen(worker);
        }
        receiver
    }

    fn standing(&self) -> Standing {
        let now = |link: &Link| link.now().err();
        if let Some(why) = now(&self.0.publishing).or_else(|| now(&self.0.consuming)) {
            return Standing::Down(why);
        }
        match self.0.publishing.blocked().borrow().clone() {
            Some(why) => Standing::Blocked(why),
            None => Standing::Up,
        }
    }
}

/// Keeps the gauge that says whether both connections stand.
async fn measure(mut lines: [tokio::sync::watch::Receiver<Line>; 2], stop: CancellationToken) {
    loop {
        let up = lines
            .iter_mut()
            .all(|line| matches!(*line.borrow_and_update(), Line::Up(_)));
        gauge!("neena_broker_up").set(f64::from(u8::from(up)));
        let [one, two] = &mut lines;
        let changed = async {
            tokio::select! {
                changed = one.changed() => changed,
                changed = two.changed() => changed,
            }
        };
        tokio::select! {
            biased;
            () = stop.cancelled() => break,
            changed = changed => if changed.is_err() { break },
        }
    }
    gauge!("neena_broker_up").set(0.0);
}
