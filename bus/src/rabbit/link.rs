//! One connection to the broker that is made anew whenever it is lost. Nothing of a lost connection is kept:
//! whoever used it waits for the next one and starts over.

use std::fmt::{self, Debug, Display};
use std::sync::Arc;
use std::time::Duration;

use futures_util::{Stream, StreamExt};
use lapin::options::BasicQosOptions;
use lapin::uri::AMQPUri;
use lapin::{Channel, Connection, ConnectionProperties, Event};
use metrics::counter;
use parking_lot::Mutex;
use tokio::sync::watch;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use super::backoff::Backoff;
use super::names::Names;
use super::topology;
use super::trouble::{ANSWER, Trouble, answered};

/// How often the broker is asked for a sign of life.
const PING: Duration = Duration::from_secs(5);
/// How long a connection may take to be made.
const CONNECT: Duration = Duration::from_secs(10);
/// How long a connection that is given up may take to say so.
const FAREWELL: Duration = Duration::from_secs(1);

/// A connection that is kept; cheap to clone.
#[derive(Clone, Debug)]
pub(super) struct Link {
    line: watch::Receiver<Line>,
    blocked: watch::Receiver<Option<String>>,
}

/// Whether there is a connection, or why not.
#[derive(Clone, Debug)]
pub(super) enum Line {
    Down(String),
    Up(Arc<Open>),
}

/// One connection, from when it was made to when it is lost.
pub(super) struct Open {
    connection: Connection,
    lost: CancellationToken,
    why: Mutex<Option<String>>,
}

impl Link {
    /// Starts to connect, until `stop`. `what` is for people who look at the broker.
    pub(super) fn start(
        uri: AMQPUri,
        what: String,
        names: Names,
        tracker: &TaskTracker,
        stop: CancellationToken,
    ) -> Link {
        let (line, line_seen) = watch::channel(Line::Down("not connected yet".to_owned()));
        let (blocked, blocked_seen) = watch::channel(None);
        let keeper = Keeper {
            uri,
            what,
            names,
            line,
            blocked,
            stop,
        };
        tracker.spawn(keeper.run());
        Link {
            line: line_seen,
            blocked: blocked_seen,
        }
    }

    /// The connection, if there is one now, or why there is none.
    pub(super) fn now(&self) -> Result<Arc<Open>, String> {
        match &*self.line.borrow() {
            Line::Up(open) if !open.lost.is_cancelled() => Ok(Arc::clone(open)),
            Line::Up(open) => Err(open.why()),
            Line::Down(why) => Err(why.clone()),
        }
    }

    /// Waits for a connection; none once the bus has ended.
    pub(super) async fn up(&self) -> Option<Arc<Open>> {
        let mut line = self.line.clone();
        let up = |line: &Line| matches!(line, Line::Up(open) if !open.lost.is_cancelled());
        match &*line.wait_for(up).await.ok()? {
            Line::Up(open) => Some(Arc::clone(open)),
            Line::Down(_) => None,
        }
    }

    /// Why the broker takes nothing at the moment, if so.
    pub(super) fn blocked(&self) -> watch::Receiver<Option<String>> {
        self.blocked.clone()
    }

    /// Tells of changes between up and down.
    pub(super) fn line(&self) -> watch::Receiver<Line> {
        self.line.clone()
    }
}

impl Open {
    pub(super) async fn channel(&self) -> Result<Channel, Trouble> {
        answered("channel.open", self.connection.create_channel()).await
    }

    /// Gives the connection up.
    pub(super) fn lose(&self, why: &impl Display) {
        self.why.lock().get_or_insert_with(|| why.to_string());
        self.lost.cancel();
    }

    /// Gives it up if this trouble is one of the connection rather than of one channel.
    pub(super) fn judge(&self, trouble: &Trouble) {
        if matches!(trouble, Trouble::Slow(_)) || !self.connection.status().connected() {
            self.lose(trouble);
        }
    }

    /// Waits until it is lost.
    pub(super) async fn lost(&self) {
        self.lost.cancelled().await;
    }

    fn why(&self) -> String {
        let why = self.why.lock().clone();
        why.unwrap_or_else(|| "connection lost".to_owned())
    }
}

impl Debug for Open {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Open")
            .field("lost", &self.lost.is_cancelled())
            .finish()
    }
}

/// Makes the connection, watches it, and makes it anew.
struct Keeper {
    uri: AMQPUri,
    what: String,
    names: Names,
    line: watch::Sender<Line>,
    blocked: watch::Sender<Option<String>>,
    stop: CancellationToken,
}

impl Keeper {
    async fn run(self) {
        let mut backoff = Backoff::new();
        let mut connections = 0_u64;
        while !self.stop.is_cancelled() {
            let connected = tokio::select! {
                biased;
                () = self.stop.cancelled() => break,
                connected = self.connect() => connected,
            };
            let why = match connected {
                Ok((connection, ping)) => {
                    connections += 1;
                    if connections > 1 {
                        counter!("neena_bus_reconnects_total").increment(1);
                    }
                    tracing::info!(link = %self.what, "connected to the broker");
                    self.keep(connection, ping).await
                }
                Err(trouble) => trouble.to_string(),
            };
            if self.stop.is_cancelled() {
                break;
            }
            tracing::warn!(link = %self.what, %why, "no connection to the broker; trying again");
            self.line.send_replace(Line::Down(why));
            tokio::select! {
                biased;
                () = self.stop.cancelled() => break,
                () = tokio::time::sleep(backoff.delay()) => {}
            }
        }
        self.line
            .send_replace(Line::Down("the bus was closed".to_owned()));
    }

    async fn connect(&self) -> Result<(Connection, Channel), Trouble> {
        let properties =
            ConnectionProperties::default().with_connection_name(self.what.clone().into());
        let connecting = Connection::connect_uri(self.uri.clone(), properties);
        let connection = tokio::time::timeout(CONNECT, connecting)
            .await
            .map_err(|_| Trouble::Slow("connection.open"))??;
        let channel = answered("channel.open", connection.create_channel()).await?;
        topology::declare(&channel, &self.names).await?;
        Ok((connection, channel))
    }

    /// Holds the connection until it is lost; why it was.
    async fn keep(&self, connection: Connection, ping: Channel) -> String {
        let events = Box::pin(connection.events_listener());
        let open = Arc::new(Open {
            connection,
            lost: CancellationToken::new(),
            why: Mutex::new(None),
        });
        self.line.send_replace(Line::Up(Arc::clone(&open)));
        let trouble = tokio::select! {
            biased;
            () = self.stop.cancelled() => "the bus was closed".to_owned(),
            () = open.lost() => open.why(),
            why = self.watch(events) => why,
            trouble = self.ping(&open, ping) => trouble.to_string(),
        };
        open.lose(&trouble);
        self.line.send_replace(Line::Down(open.why()));
        self.blocked.send_replace(None);
        let closing = open.connection.close(200, "".into());
        // A connection that is dead does not answer.
        let _ = tokio::time::timeout(FAREWELL, closing).await;
        open.why()
    }

    /// Follows what the broker says about the connection; why it ended.
    async fn watch(&self, mut events: impl Stream<Item = Event> + Unpin) -> String {
        while let Some(event) = events.next().await {
            match event {
                Event::ConnectionBlocked(why) => {
                    tracing::warn!(link = %self.what, %why, "the broker takes nothing");
                    self.blocked.send_replace(Some(why));
                }
                Event::ConnectionUnblocked => {
                    tracing::info!(link = %self.what, "the broker takes messages again");
                    self.blocked.send_replace(None);
                }
                Event::Error(error) => return error.to_string(),
                _ => {}
            }
        }
        "connection lost".to_owned()
    }

    /// Asks for a sign of life every few seconds; a connection can be dead without anybody saying so.
    async fn ping(&self, open: &Open, channel: Channel) -> Trouble {
        loop {
            tokio::time::sleep(PING).await;
            if !open.connection.status().connected() {
                return Trouble::Lost("connection lost".to_owned());
            }
            // Nothing is sent while blocked, and the broker waits for nothing.
            if self.blocked.borrow().is_some() {
                continue;
            }
            let asked =
                tokio::time::timeout(ANSWER, channel.basic_qos(1, BasicQosOptions::default()));
            let blocked = async {
                let mut blocked = self.blocked.subscribe();
                let _ = blocked.wait_for(Option::is_some).await;
            };
            tokio::select! {
                biased;
                answer = asked => match answer {
                    Ok(Ok(())) => {}
                    Ok(Err(error)) => return error.into(),
                    Err(_) => return Trouble::Slow("a sign of life"),
                },
                () = blocked => {}
            }
        }
    }
}
