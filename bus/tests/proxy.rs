//! A proxy before the broker that loses what it is told to lose.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};

use tokio::io::{AsyncRead, AsyncReadExt, AsyncWriteExt, copy};
use tokio::net::{TcpListener, TcpStream};
use tokio::task::JoinSet;

/// `basic.ack` as the payload of a frame begins: class 60, method 80.
const ACK: [u8; 4] = [0, 60, 0, 80];

/// What the proxy loses.
#[derive(Debug, Default)]
pub struct Losses {
    /// Every so manyeth confirm of the broker; none if 0.
    pub confirms: AtomicUsize,
    /// Everything: connections stay open, and nothing passes.
    pub all: AtomicBool,
    seen: AtomicUsize,
    pub lost: AtomicUsize,
    pub connections: AtomicUsize,
}

pub struct Proxy {
    pub url: String,
    pub losses: Arc<Losses>,
    _tasks: JoinSet<()>,
}

impl Proxy {
    /// A proxy before the broker of `url`.
    pub async fn before(url: &str) -> Proxy {
        let (start, rest) = url.split_once('@').unwrap();
        let (broker, vhost) = rest.split_once('/').unwrap();
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("{start}@{}/{vhost}", listener.local_addr().unwrap());
        let losses = Arc::new(Losses::default());
        let (broker, for_all) = (broker.to_owned(), Arc::clone(&losses));
        let mut tasks = JoinSet::new();
        tasks.spawn(async move {
            let mut connections = JoinSet::new();
            while let Ok((client, _)) = listener.accept().await {
                let server = TcpStream::connect(&broker).await.unwrap();
                for_all.connections.fetch_add(1, Ordering::Relaxed);
                connections.spawn(pass(client, server, Arc::clone(&for_all)));
            }
        });
        Proxy {
            url,
            losses,
            _tasks: tasks,
        }
    }
}

async fn pass(client: TcpStream, server: TcpStream, losses: Arc<Losses>) {
    let (mut from_client, mut to_client) = client.into_split();
    let (mut from_server, mut to_server) = server.into_split();
    let up = async {
        let mut chunk = vec![0; 65_536];
        loop {
            let size = match from_client.read(&mut chunk).await {
                Ok(0) | Err(_) => break,
                Ok(size) => size,
            };
            if !losses.all.load(Ordering::Relaxed)
                && to_server.write_all(&chunk[..size]).await.is_err()
            {
                break;
            }
        }
    };
    let down = async {
        while let Some(frame) = frame(&mut from_server).await {
            if losses.loses(&frame) {
                continue;
            }
            if to_client.write_all(&frame).await.is_err() {
                break;
            }
        }
        let _ = copy(&mut from_server, &mut tokio::io::sink()).await;
    };
    tokio::select! {
        () = up => {}
        () = down => {}
    }
}

/// A frame: type, channel, size, payload, end mark.
async fn frame(from: &mut (impl AsyncRead + Unpin)) -> Option<Vec<u8>> {
    let mut frame = vec![0; 7];
    from.read_exact(&mut frame).await.ok()?;
    let size = u32::from_be_bytes([frame[3], frame[4], frame[5], frame[6]]) as usize;
    frame.resize(7 + size + 1, 0);
    from.read_exact(&mut frame[7..]).await.ok()?;
    Some(frame)
}

impl Losses {
    fn loses(&self, frame: &[u8]) -> bool {
        if self.all.load(Ordering::Relaxed) {
            return true;
        }
        let every = self.confirms.load(Ordering::Relaxed);
        if every == 0 || !frame[7..].starts_with(&ACK) {
            return false;
        }
        let lost = self.seen.fetch_add(1, Ordering::Relaxed) % every == every - 1;
        self.lost.fetch_add(usize::from(lost), Ordering::Relaxed);
        lost
    }
}
