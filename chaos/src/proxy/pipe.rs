//! The two directions of one connection.

use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use parking_lot::Mutex;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::net::tcp::{OwnedReadHalf, OwnedWriteHalf};
use tokio::sync::{mpsc, watch};
use tokio::time::Instant;

use super::frames::{Asked, Frames, Reply};
use super::{Eat, Mode, Shared};

/// Passes bytes until one side closes, the proxy cuts, or a reply is eaten that ends the connection.
pub(super) async fn join(
    client: TcpStream,
    server: TcpStream,
    modes: watch::Receiver<Mode>,
    shared: Arc<Shared>,
) {
    let _ = client.set_nodelay(true);
    let _ = server.set_nodelay(true);
    let (from_client, to_client) = client.into_split();
    let (from_server, to_server) = server.into_split();
    let (replies, arrivals) = mpsc::channel(1_024);
    let mut cuts = modes.clone();
    let asked = Mutex::new(Asked::default());
    tokio::select! {
        // Gone with the proxy: cut as well.
        _ = cuts.wait_for(|mode| *mode == Mode::Cut) => {}
        () = questions(from_client, to_server, modes.clone(), (&shared, &asked)) => {}
        () = answers(from_server, replies, modes.clone(), (&shared, &asked)) => {}
        () = deliver(arrivals, to_client, modes) => {}
    }
}

async fn questions(
    mut from: OwnedReadHalf,
    mut to: OwnedWriteHalf,
    modes: watch::Receiver<Mode>,
    (shared, asked): (&Shared, &Mutex<Asked>),
) {
    let mut buffer = vec![0; 64 << 10];
    loop {
        let count = match from.read(&mut buffer).await {
            Ok(count) if count > 0 => count,
            _ => return,
        };
        if matches!(*shared.eat.lock(), Eat::Commits(_)) {
            asked.lock().push(&buffer[..count]);
        }
        released(modes.clone()).await;
        if to.write_all(&buffer[..count]).await.is_err() {
            return;
        }
    }
}

/// Reads replies and says when each is to arrive.
async fn answers(
    mut from: OwnedReadHalf,
    replies: mpsc::Sender<(Instant, Vec<u8>)>,
    modes: watch::Receiver<Mode>,
    (shared, asked): (&Shared, &Mutex<Asked>),
) {
    let mut buffer = vec![0; 64 << 10];
    let mut frames = Frames::default();
    loop {
        let count = match from.read(&mut buffer).await {
            Ok(count) if count > 0 => count,
            _ => {
                // What was read still arrives; then the other loop ends.
                drop(replies);
                return std::future::pending().await;
            }
        };
        frames.push(&buffer[..count]);
        let eat = *shared.eat.lock();
        let mut passing = Vec::with_capacity(count);
        let writes = asked.lock().writes;
        while let Some((bytes, reply)) = frames.next(eat, writes) {
            if !shared.eats(eat, reply) {
                passing.extend(bytes);
            } else if reply == Reply::Commit {
                return;
            }
        }
        let delay = match *modes.borrow() {
            Mode::Delay(delay) => delay,
            _ => Duration::ZERO,
        };
        if !passing.is_empty()
            && replies
                .send((Instant::now() + delay, passing))
                .await
                .is_err()
        {
            return;
        }
    }
}

async fn deliver(
    mut arrivals: mpsc::Receiver<(Instant, Vec<u8>)>,
    mut to: OwnedWriteHalf,
    modes: watch::Receiver<Mode>,
) {
    while let Some((at, bytes)) = arrivals.recv().await {
        tokio::time::sleep_until(at).await;
        released(modes.clone()).await;
        if to.write_all(&bytes).await.is_err() {
            return;
        }
    }
}

/// Waits while everything is held.
async fn released(mut modes: watch::Receiver<Mode>) {
    // Gone with the proxy: the connection ends by that.
    let _ = modes.wait_for(|mode| *mode != Mode::Hold).await;
}

impl Shared {
    fn eats(&self, eat: Eat, reply: Reply) -> bool {
        let percent = match (eat, reply) {
            (Eat::Commits(percent), Reply::Commit) => percent,
            (Eat::Confirms(percent), Reply::Confirm) => percent,
            _ => return false,
        };
        self.seen.fetch_add(1, Ordering::Relaxed);
        let eaten = self.random.lock().percent(percent);
        self.eaten.fetch_add(u64::from(eaten), Ordering::Relaxed);
        eaten
    }
}
