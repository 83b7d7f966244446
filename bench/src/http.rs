//! HTTP with as little as possible around it: a connection that stays, one request at a time. The client shares the
//! machine with what it measures.

use std::time::{Duration, Instant};

use anyhow::{Context, ensure};
use http_body_util::{BodyExt, Full};
use hyper::body::Bytes;
use hyper::client::conn::http1::{SendRequest, handshake};
use hyper::{Method, Request, StatusCode};
use hyper_util::rt::TokioIo;
use serde::de::DeserializeOwned;
use tokio::net::TcpStream;

/// How the answer of a server ends that is too busy, how long it is asked again, and how soon.
const BUSY: &[u8] = b"\"Overloaded; try again in a moment\"}";
const PATIENCE: Duration = Duration::from_secs(30);
const PAUSE: Duration = Duration::from_millis(20);

/// A connection to a server's API.
#[derive(Debug)]
pub struct Connection {
    sender: SendRequest<Full<Bytes>>,
    host: String,
    authorization: String,
    /// How often the server was too busy.
    pub refused: usize,
}

impl Connection {
    /// Connects to `http://HOST:PORT`.
    pub async fn open(url: &str, token: &str) -> anyhow::Result<Connection> {
        let host = url
            .strip_prefix("http://")
            .context("the server's address is not http://…")?;
        let stream = TcpStream::connect(host).await?;
        stream.set_nodelay(true)?;
        let (sender, connection) = handshake(TokioIo::new(stream)).await?;
        // It ends with the sender; what went wrong on it is what the sender answers.
        tokio::spawn(connection);
        Ok(Connection {
            sender,
            host: host.to_owned(),
            authorization: format!("Bearer {token}"),
            refused: 0,
        })
    }

    /// One call: its status and body. `path` follows `/api/v1`.
    pub async fn call(
        &mut self,
        method: Method,
        path: &str,
        body: Option<String>,
    ) -> anyhow::Result<(StatusCode, Bytes)> {
        let mut request = Request::builder()
            .method(method)
            .uri(format!("/api/v1{path}"))
            .header("host", &self.host)
            .header("authorization", &self.authorization);
        if body.is_some() {
            request = request.header("content-type", "application/json");
        }
        let request = request.body(Full::from(body.unwrap_or_default()))?;
        self.sender.ready().await?;
        let response = self.sender.send_request(request).await?;
        let status = response.status();
        Ok((status, response.into_body().collect().await?.to_bytes()))
    }

    /// One call that must succeed; the body it answers with. A server that is too busy has done nothing, and is asked
    /// again in a moment, as a client in earnest does.
    pub async fn done(
        &mut self,
        method: Method,
        path: &str,
        body: Option<String>,
    ) -> anyhow::Result<Bytes> {
        let deadline = Instant::now() + PATIENCE;
        let (status, answer) = loop {
            let (status, answer) = self.call(method.clone(), path, body.clone()).await?;
            let busy = status == StatusCode::SERVICE_UNAVAILABLE && answer[..].ends_with(BUSY);
            if !busy || Instant::now() > deadline {
                break (status, answer);
            }
            self.refused += 1;
            tokio::time::sleep(PAUSE).await;
        };
        ensure!(
            status.is_success(),
            "{path}: {status}, {}",
            String::from_utf8_lossy(&answer[..answer.len().min(500)])
        );
        Ok(answer)
    }

    pub async fn get<T: DeserializeOwned>(&mut self, path: &str) -> anyhow::Result<T> {
        let answer = self.done(Method::GET, path, None).await?;
        serde_json::from_slice(&answer).with_context(|| format!("an unknown answer from {path}"))
    }

    pub async fn post<T: DeserializeOwned>(
        &mut self,
        path: &str,
        body: String,
    ) -> anyhow::Result<T> {
        let answer = self.done(Method::POST, path, Some(body)).await?;
        serde_json::from_slice(&answer).with_context(|| format!("an unknown answer from {path}"))
    }
}
