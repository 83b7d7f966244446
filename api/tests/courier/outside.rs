//! What stands outside: a receiver of webhooks, and a mail server that keeps what it is sent.

use std::sync::{Arc, Mutex};

use axum::body::Bytes;
use axum::extract::State;
use axum::http::{HeaderMap, StatusCode};
use axum::routing::post;
use base64::Engine;
use base64::prelude::BASE64_STANDARD;
use hmac::{Hmac, KeyInit, Mac};
use serde_json::Value;
use sha2::Sha256;
use tokio::io::{AsyncBufReadExt, AsyncWriteExt, BufReader};
use tokio::net::{TcpListener, TcpStream};

/// A message to a webhook.
#[derive(Clone, Debug)]
pub struct Hooked {
    pub headers: HeaderMap,
    pub text: String,
    pub body: Value,
}

impl Hooked {
    pub fn id(&self) -> &str {
        self.headers["webhook-id"].to_str().unwrap()
    }

    /// Checks the signature as Standard Webhooks says.
    pub fn verify(&self, secret: &str) {
        let key = secret.strip_prefix("whsec_").unwrap();
        let key = BASE64_STANDARD.decode(key).unwrap();
        let time = self.headers["webhook-timestamp"].to_str().unwrap();
        let mut mac = Hmac::<Sha256>::new_from_slice(&key).unwrap();
        mac.update(format!("{}.{time}.{}", self.id(), self.text).as_bytes());
        let signature = self.headers["webhook-signature"].to_str().unwrap();
        let signature = signature.strip_prefix("v1,").unwrap();
        mac.verify_slice(&BASE64_STANDARD.decode(signature).unwrap())
            .unwrap();
    }
}

/// A receiver of webhooks.
#[derive(Clone, Debug)]
pub struct Receiver {
    pub place: String,
    got: Arc<Mutex<Vec<Hooked>>>,
    answer: Arc<Mutex<StatusCode>>,
}

impl Receiver {
    pub async fn start() -> Receiver {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let receiver = Receiver {
            place: listener.local_addr().unwrap().to_string(),
            got: Arc::default(),
            answer: Arc::new(Mutex::new(StatusCode::NO_CONTENT)),
        };
        let router = axum::Router::new()
            .route("/hook", post(take))
            .with_state(receiver.clone());
        tokio::spawn(async move { axum::serve(listener, router).await });
        receiver
    }

    pub fn url(&self) -> String {
        format!("http://{}/hook", self.place)
    }

    pub fn answers(&self, status: u16) {
        *self.answer.lock().unwrap() = StatusCode::from_u16(status).unwrap();
    }

    pub fn got(&self) -> Vec<Hooked> {
        self.got.lock().unwrap().clone()
    }
}

async fn take(State(receiver): State<Receiver>, headers: HeaderMap, body: Bytes) -> StatusCode {
    let text = String::from_utf8(body.to_vec()).unwrap();
    receiver.got.lock().unwrap().push(Hooked {
        headers,
        body: serde_json::from_str(&text).unwrap(),
        text,
    });
    *receiver.answer.lock().unwrap()
}

/// An e-mail as it came.
#[derive(Clone, Debug)]
pub struct Mail {
    pub to: String,
    /// With headers; lines as they were before they were encoded.
    pub text: String,
}

impl Mail {
    pub fn subject(&self) -> &str {
        let mut lines = self.text.lines();
        lines
            .find_map(|line| line.strip_prefix("Subject: "))
            .unwrap()
    }

    /// The token of its link.
    pub fn token(&self) -> Option<String> {
        let (_, rest) = self.text.split_once("?token=")?;
        Some(rest.split_whitespace().next().unwrap().to_owned())
    }
}

/// A mail server.
#[derive(Clone, Debug)]
pub struct MailServer {
    pub url: String,
    got: Arc<Mutex<Vec<Mail>>>,
}

impl MailServer {
    pub async fn start() -> MailServer {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let server = MailServer {
            url: format!("smtp://{}", listener.local_addr().unwrap()),
            got: Arc::default(),
        };
        let got = Arc::clone(&server.got);
        tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                tokio::spawn(session(stream, Arc::clone(&got)));
            }
        });
        server
    }

    /// What came, by recipient.
    pub fn got(&self) -> Vec<Mail> {
        let mut got = self.got.lock().unwrap().clone();
        got.sort_by(|a, b| a.to.cmp(&b.to));
        got
    }

    pub fn clear(&self) {
        self.got.lock().unwrap().clear();
    }
}

async fn session(stream: TcpStream, got: Arc<Mutex<Vec<Mail>>>) -> Option<()> {
    let (read, mut write) = stream.into_split();
    let mut lines = BufReader::new(read).lines();
    let mut to = String::new();
    write.write_all(b"220 sink\r\n").await.ok()?;
    while let Some(line) = lines.next_line().await.ok()? {
        let answer: &[u8] = match line.get(..4).unwrap_or_default() {
            "EHLO" => b"250 sink\r\n",
            "RCPT" => {
                let (_, rest) = line.split_once('<')?;
                to = rest.split('>').next()?.to_owned();
                b"250 ok\r\n"
            }
            "DATA" => {
                write.write_all(b"354 go on\r\n").await.ok()?;
                let mut text = String::new();
                while let Some(line) = lines.next_line().await.ok()? {
                    if line == "." {
                        break;
                    }
                    text.push_str(&line);
                    text.push('\n');
                }
                if text.contains("quoted-printable") {
                    text = text.replace("=\n", "").replace("=3D", "=");
                }
                let to = to.clone();
                got.lock().unwrap().push(Mail { to, text });
                b"250 ok\r\n"
            }
            "QUIT" => return None,
            _ => b"250 ok\r\n",
        };
        write.write_all(answer).await.ok()?;
    }
    Some(())
}
