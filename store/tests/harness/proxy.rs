//! Between a store and Postgres: cuts the connection at a chosen moment.

use std::sync::{Arc, Mutex};

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};

/// When the connection is cut: as soon as the client sends this.
#[derive(Clone, Debug)]
struct Cut {
    at: Vec<u8>,
    /// Whether the server still gets it.
    passed_on: bool,
}

#[derive(Debug, Default)]
struct Orders {
    cut: Option<Cut>,
    /// How many cuts were made.
    cuts: usize,
}

/// A proxy; it ends with its runtime.
#[derive(Clone, Debug)]
pub struct Proxy {
    orders: Arc<Mutex<Orders>>,
    pub url: String,
}

impl Proxy {
    /// In front of the server at `url`.
    pub async fn to(url: &str) -> Proxy {
        let (scheme, rest) = url.split_once("://").unwrap();
        let (user, rest) = rest.split_once('@').unwrap();
        let (server, database) = rest.split_once('/').unwrap();
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let here = listener.local_addr().unwrap();
        let proxy = Proxy {
            orders: Arc::default(),
            url: format!("{scheme}://{user}@{here}/{database}"),
        };
        tokio::spawn(proxy.clone().listen(listener, server.to_owned()));
        proxy
    }

    /// Cuts the next connection on which `at` is sent, before or after the server gets it.
    pub fn cut(&self, at: &[u8], passed_on: bool) {
        let at = at.to_vec();
        self.orders.lock().unwrap().cut = Some(Cut { at, passed_on });
    }

    pub fn cuts(&self) -> usize {
        self.orders.lock().unwrap().cuts
    }

    async fn listen(self, listener: TcpListener, server: String) {
        loop {
            let (client, _) = listener.accept().await.unwrap();
            let server = TcpStream::connect(&server).await.unwrap();
            tokio::spawn(self.clone().pass(client, server));
        }
    }

    async fn pass(self, client: TcpStream, server: TcpStream) {
        let (mut from_client, mut to_client) = client.into_split();
        let (mut from_server, mut to_server) = server.into_split();
        let back = tokio::spawn(async move {
            let mut buffer = vec![0; 65_536];
            while let Ok(read @ 1..) = from_server.read(&mut buffer).await {
                if to_client.write_all(&buffer[..read]).await.is_err() {
                    return;
                }
            }
        });
        let mut buffer = vec![0; 1 << 20];
        while let Ok(read @ 1..) = from_client.read(&mut buffer).await {
            let sent = &buffer[..read];
            let cut = self.due(sent);
            if let Some(cut) = &cut {
                // No answer gets back.
                back.abort();
                if !cut.passed_on {
                    return;
                }
            }
            if to_server.write_all(sent).await.is_err() || cut.is_some() {
                break;
            }
        }
    }

    fn due(&self, sent: &[u8]) -> Option<Cut> {
        let mut orders = self.orders.lock().unwrap();
        let at = &orders.cut.as_ref()?.at;
        if !sent.windows(at.len()).any(|part| part == at) {
            return None;
        }
        orders.cuts += 1;
        orders.cut.take()
    }
}
