//! A TCP proxy in front of a server: it can cut, hold and delay, and eat chosen replies.

mod frames;
mod pipe;

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use parking_lot::Mutex;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;

use crate::random::Random;

/// What happens to what passes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Mode {
    Pass,
    /// Nothing passes; connections stay open.
    Hold,
    /// Connections are closed, and new ones at once.
    Cut,
    /// Each reply arrives so much later.
    Delay(Duration),
}

/// Which replies are eaten, in percent.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Eat {
    Nothing,
    /// Postgres's answers to COMMIT; the connection is reset, as a network does that loses one.
    Commits(u32),
    /// The broker's confirms of what was published.
    Confirms(u32),
}

/// The proxy; ends when dropped.
#[derive(Debug)]
pub struct Proxy {
    pub port: u16,
    mode: watch::Sender<Mode>,
    shared: Arc<Shared>,
    task: tokio::task::JoinHandle<()>,
}

#[derive(Debug)]
struct Shared {
    eat: Mutex<Eat>,
    random: Mutex<Random>,
    seen: AtomicU64,
    eaten: AtomicU64,
}

impl Proxy {
    /// In front of `port` of this machine.
    pub async fn start(port: u16, seed: u64) -> anyhow::Result<Proxy> {
        Proxy::before(&[port], seed).await
    }

    /// In front of several ports: a connection goes to the first that takes it.
    pub async fn before(ports: &[u16], seed: u64) -> anyhow::Result<Proxy> {
        let listener = TcpListener::bind("127.0.0.1:0").await?;
        let (mode, modes) = watch::channel(Mode::Pass);
        let shared = Arc::new(Shared {
            eat: Mutex::new(Eat::Nothing),
            random: Mutex::new(Random::new(seed)),
            seen: AtomicU64::new(0),
            eaten: AtomicU64::new(0),
        });
        let own = listener.local_addr()?.port();
        let servers = ports
            .iter()
            .map(|port| SocketAddr::from(([127, 0, 0, 1], *port)));
        let task = tokio::spawn(accept(listener, servers.collect(), modes, shared.clone()));
        Ok(Proxy {
            port: own,
            mode,
            shared,
            task,
        })
    }

    /// From now on.
    pub fn set(&self, mode: Mode) {
        self.mode.send_replace(mode);
    }

    /// From now on.
    pub fn eat(&self, eat: Eat) {
        *self.shared.eat.lock() = eat;
    }

    /// How many of the replies meant by [`Eat`] came by, and how many were eaten.
    pub fn eaten(&self) -> (u64, u64) {
        let count = |counter: &AtomicU64| counter.load(Ordering::Relaxed);
        (count(&self.shared.seen), count(&self.shared.eaten))
    }
}

impl Drop for Proxy {
    fn drop(&mut self) {
        self.mode.send_replace(Mode::Cut);
        self.task.abort();
    }
}

async fn accept(
    listener: TcpListener,
    servers: Vec<SocketAddr>,
    modes: watch::Receiver<Mode>,
    shared: Arc<Shared>,
) {
    while let Ok((client, _)) = listener.accept().await {
        if *modes.borrow() == Mode::Cut {
            continue;
        }
        let (modes, shared, servers) = (modes.clone(), shared.clone(), servers.clone());
        tokio::spawn(async move {
            if let Ok(server) = TcpStream::connect(&servers[..]).await {
                pipe::join(client, server, modes, shared).await;
            }
        });
    }
}
