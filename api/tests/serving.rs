//! The server on a real socket: large bodies, slow clients, hang-ups, an orderly stop.

use std::time::Duration;

use neena_api::serve;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;

use crate::harness::Api;

struct Server {
    api: Api,
    address: std::net::SocketAddr,
    stop: CancellationToken,
    task: JoinHandle<()>,
}

impl Server {
    async fn start() -> Server {
        let api = Api::start().await;
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let stop = CancellationToken::new();
        let task = tokio::spawn(serve(listener, api.app.clone(), stop.clone()));
        Server {
            api,
            address,
            stop,
            task,
        }
    }

    async fn connect(&self) -> TcpStream {
        TcpStream::connect(self.address).await.unwrap()
    }

    fn head(&self, first: &str, more: &str) -> String {
        let token = self.api.token();
        format!("{first} HTTP/1.1\r\nhost: neena\r\nauthorization: Bearer {token}\r\n{more}\r\n")
    }
}

/// Reads until the server closes.
async fn rest(stream: &mut TcpStream) -> String {
    let mut text = Vec::new();
    stream.read_to_end(&mut text).await.unwrap();
    String::from_utf8_lossy(&text).into_owned()
}

#[tokio::test]
async fn a_client_that_sends_fifty_megabytes_reads_its_413() {
    let server = Server::start().await;
    let mut stream = server.connect().await;
    let size = 50 << 20;
    let more = format!(
        "content-type: application/json\r\ncontent-length: {size}\r\nconnection: close\r\n"
    );
    let head = server.head("POST /api/v1/flow_requests/", &more);
    stream.write_all(head.as_bytes()).await.unwrap();
    let block = vec![b' '; 1 << 20];
    for _ in 0..50 {
        stream.write_all(&block).await.unwrap();
    }
    let answer = rest(&mut stream).await;
    assert!(answer.starts_with("HTTP/1.1 413 "), "{answer}");
    assert!(
        answer.ends_with("{\"detail\":\"The body is larger than 1048576 bytes\"}"),
        "{answer}"
    );
}

#[tokio::test]
async fn a_client_without_a_token_reads_its_401_whatever_it_sends() {
    let server = Server::start().await;
    let mut stream = server.connect().await;
    let size = 10 << 20;
    let head = format!(
        "POST /api/v1/flows/ HTTP/1.1\r\nhost: neena\r\ncontent-length: {size}\r\nconnection: close\r\n\r\n"
    );
    stream.write_all(head.as_bytes()).await.unwrap();
    stream.write_all(&vec![b' '; size]).await.unwrap();
    assert!(rest(&mut stream).await.starts_with("HTTP/1.1 401 "));
}

#[tokio::test]
async fn a_client_that_waits_to_send_a_large_body_is_told_at_once() {
    let server = Server::start().await;
    let mut stream = server.connect().await;
    let more =
        "content-type: application/json\r\ncontent-length: 52428800\r\nexpect: 100-continue\r\n";
    let head = server.head("POST /api/v1/flow_requests/", more);
    stream.write_all(head.as_bytes()).await.unwrap();
    let answer = rest(&mut stream).await;
    assert!(answer.starts_with("HTTP/1.1 413 "), "{answer}");
}

#[tokio::test]
async fn a_client_that_hangs_up_loses_nothing_it_asked_for() {
    let server = Server::start().await;
    let body = "{\"request_instructions\": \"Process this request.\"}";
    let more = format!(
        "content-type: application/json\r\ncontent-length: {}\r\n",
        body.len()
    );
    let request = server.head("POST /api/v1/flow_requests/", &more) + body;
    for _ in 0..50 {
        let mut stream = server.connect().await;
        stream.write_all(request.as_bytes()).await.unwrap();
        drop(stream);
    }
    // Whatever became of those, the writer works and what it stored is whole.
    let made = server.api.flow_request().await;
    let listed = server
        .api
        .get("/api/v1/flow_requests/all?limit=1000")
        .await
        .expect(200)
        .body;
    assert_eq!(listed[0]["id"], made.to_string());
    server.stop.cancel();
    server.task.await.unwrap();
    let stored = server.api.count("SELECT count(*) FROM flow_requests").await;
    assert!((1..=51).contains(&stored));
}

#[tokio::test]
async fn a_call_under_way_is_finished_when_the_server_stops() {
    let server = Server::start().await;
    let mut idle = server.connect().await;
    let mut stream = server.connect().await;
    let body = "{\"request_instructions\": \"Process this request.\"}";
    let more = format!(
        "content-type: application/json\r\ncontent-length: {}\r\n",
        body.len()
    );
    let head = server.head("POST /api/v1/flow_requests/", &more);
    stream.write_all(head.as_bytes()).await.unwrap();
    stream.write_all(&body.as_bytes()[..10]).await.unwrap();
    // The server has read the head once it serves another connection accepted after this one.
    let mut later = server.connect().await;
    later
        .write_all(b"GET /healthz HTTP/1.1\r\nhost: neena\r\nconnection: close\r\n\r\n")
        .await
        .unwrap();
    assert!(rest(&mut later).await.starts_with("HTTP/1.1 200 "));
    server.stop.cancel();
    assert_eq!(rest(&mut idle).await, "");
    stream.write_all(&body.as_bytes()[10..]).await.unwrap();
    let answer = rest(&mut stream).await;
    assert!(answer.starts_with("HTTP/1.1 200 "), "{answer}");
    server.task.await.unwrap();
    assert!(TcpStream::connect(server.address).await.is_err());
}

#[tokio::test]
async fn one_connection_carries_many_calls() {
    let server = Server::start().await;
    let mut stream = server.connect().await;
    let call = server.head("GET /api/v1/users/", "");
    for _ in 0..3 {
        stream.write_all(call.as_bytes()).await.unwrap();
    }
    let last = server.head("GET /api/v1/users/", "connection: close\r\n");
    stream.write_all(last.as_bytes()).await.unwrap();
    assert_eq!(
        rest(&mut stream).await.matches("HTTP/1.1 200 OK").count(),
        4
    );
}

#[tokio::test]
async fn a_client_that_never_finishes_its_head_is_let_go() {
    let server = Server::start().await;
    let mut stream = server.connect().await;
    stream
        .write_all(b"GET /healthz HTTP/1.1\r\nhost: ne")
        .await
        .unwrap();
    let closed = tokio::time::timeout(Duration::from_secs(30), rest(&mut stream)).await;
    assert!(closed.is_ok(), "the connection is still open");
}
