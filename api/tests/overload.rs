//! When the database is away or full, when there is too much to do, and when a handler breaks: a clear
//! answer, and the server lives on.

use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use async_trait::async_trait;
use axum::body::Body;
use axum::http::Request;
use neena_api::{Hosting, Limits};
use serde_json::json;

use crate::harness::{Api, Setup, clustered};

#[tokio::test]
async fn a_database_that_is_away_is_a_503_that_says_when_to_come_back() {
    let api = Api::start().await;
    let token = api.token();
    api.get("/api/v1/users/").await.expect(200);
    api.db.close().await;
    let body = json!({"request_instructions": "Process this request."});
    for answer in [
        api.call("POST", "/api/v1/flow_requests/", &token, Some(body))
            .await,
        api.call("GET", "/api/v1/flow_requests/all", &token, None)
            .await,
    ] {
        let answer = answer.expect(503);
        assert_eq!(answer.headers["retry-after"], "1");
        assert_eq!(answer.detail(), "Overloaded; try again in a moment");
    }
    api.get("/healthz").await.expect(200);
}

#[derive(Debug)]
struct Breaks;

#[async_trait]
impl Hosting for Breaks {
    async fn host(&self, _: &str, _: &str, _: &Path) -> Result<(), String> {
        panic!("secret: /etc/shadow")
    }
}

#[tokio::test]
async fn a_handler_that_panics_is_a_500_with_an_id_and_no_more() {
    let api = Api::start_with(Setup {
        hosting: Some(Arc::new(Breaks)),
        ..Setup::default()
    })
    .await;
    let manifest = json!({"integrations": [{
        "class_name": "Breaks", "name": "Breaks", "short_name": "breaks", "auth_type": "none",
        "code_digest": "ab".repeat(32), "path": "/srv/breaks.py", "tasks": [],
    }]});
    let answer = api
        .put("/api/v1/integrations/sync", manifest)
        .await
        .expect(500);
    assert_eq!(answer.text, "{\"detail\":\"Internal Server Error\"}");
    assert!(!answer.headers["x-request-id"].is_empty());
    api.get("/api/v1/users/").await.expect(200);
}

/// Only SQLite can be told how large its file may grow.
#[tokio::test]
async fn a_database_that_is_full_is_still_read_and_says_so() {
    if clustered() {
        return;
    }
    let api = Api::start().await;
    let made = api.flow_request().await;
    let pages = api.count("PRAGMA page_count").await;
    api.execute(format!("PRAGMA max_page_count = {pages}"))
        .await;
    let text = "x".repeat(400);
    let body = json!({
        "request_instructions": "Process this request.", "request_metadata": [{"text": text}],
    });
    let answer = loop {
        let answer = api.post("/api/v1/flow_requests/", body.clone()).await;
        if answer.status != 200 {
            break answer.expect(503);
        }
    };
    assert_eq!(answer.headers["retry-after"], "10");
    assert_eq!(answer.detail(), "The database is full; nothing was written");
    api.get(&format!("/api/v1/flow_requests/?id={made}"))
        .await
        .expect(200);
    api.get("/api/v1/flow_requests/all").await.expect(200);
    api.execute("PRAGMA max_page_count = 1000000".to_owned())
        .await;
    api.post("/api/v1/flow_requests/", body).await.expect(200);
}

#[tokio::test]
async fn a_client_that_sends_slowly_takes_nobodys_place() {
    let api = Api::start_with(Setup {
        limits: Limits {
            writes: 1,
            waiting: 0,
            ..Limits::default()
        },
        ..Setup::default()
    })
    .await;
    let token = api.token();
    api.get("/api/v1/users/").await.expect(200);
    let never = Body::from_stream(futures_util::stream::pending::<
        Result<Vec<u8>, std::io::Error>,
    >());
    let slow = Request::builder()
        .method("POST")
        .uri("/api/v1/flow_requests/")
        .header("authorization", format!("Bearer {token}"))
        .header("content-type", "application/json")
        .body(never)
        .unwrap();
    let sending = api.send(slow);
    tokio::select! {
        biased;
        answer = sending => panic!("{answer:?}"),
        () = async { api.flow_request().await; } => {}
    }
}

#[tokio::test]
async fn a_user_who_asks_too_often_is_told_when_to_come_back() {
    let api = Api::start_with(Setup {
        limits: Limits {
            rate: 5,
            ..Limits::default()
        },
        ..Setup::default()
    })
    .await;
    let mut refused = None;
    for _ in 0..1_000 {
        let answer = api.get("/api/v1/users/").await;
        if answer.status == 429 {
            refused = Some(answer);
            break;
        }
        answer.expect(200);
    }
    let refused = refused.unwrap();
    assert_eq!(refused.headers["retry-after"], "1");
    assert_eq!(refused.detail(), "Too many requests; try again later");
    let other = api.token_of("bob@example.com", None, &[]);
    api.call("GET", "/api/v1/users/", &other, None)
        .await
        .expect(200);
}

/// What many clients get out of the server, each asking again at once, or after the rest it was told.
#[derive(Debug)]
struct Served {
    per_second: f64,
    refused: usize,
    slowest: Duration,
}

async fn offer(api: &Api, clients: usize, time: Duration) -> Served {
    let token = api.token();
    let body = json!({"request_instructions": "Process this request."});
    let (served, refused) = (AtomicUsize::new(0), AtomicUsize::new(0));
    let start = Instant::now();
    let client = async || {
        let mut slowest = Duration::ZERO;
        while start.elapsed() < time {
            let asked = Instant::now();
            let path = "/api/v1/flow_requests/";
            let answer = api.call("POST", path, &token, Some(body.clone())).await;
            match answer.status.as_u16() {
                200 => {
                    served.fetch_add(1, Ordering::Relaxed);
                    slowest = slowest.max(asked.elapsed());
                }
                503 => {
                    assert_eq!(answer.headers["retry-after"], "1");
                    refused.fetch_add(1, Ordering::Relaxed);
                    // Five times less patient than it was told to be.
                    tokio::time::sleep(Duration::from_millis(200)).await;
                }
                other => panic!("{other}: {}", answer.text),
            }
        }
        slowest
    };
    let slowest = futures_util::future::join_all((0..clients).map(|_| client())).await;
    Served {
        per_second: served.into_inner() as f64 / start.elapsed().as_secs_f64(),
        refused: refused.into_inner(),
        slowest: slowest.into_iter().max().unwrap_or_default(),
    }
}

/// A server for 16 writers and 32 that wait, and three times as many clients as it has room for.
async fn three_times_too_much(time: Duration, of_peak: f64) {
    let api = Api::start_with(Setup {
        limits: Limits {
            writes: 16,
            waiting: 32,
            ..Limits::default()
        },
        pool: neena_store::Connections {
            units: 4,
            reads: 2,
            lazy: 1,
            ..neena_store::Connections::default()
        },
        ..Setup::default()
    })
    .await;
    api.flow_request().await;
    offer(&api, 16, time / 4).await;
    let before = memory();
    let mut kept = Vec::new();
    // A machine that does other things, too, may be slow in one part of a round and not in the other.
    while kept.len() < 5 {
        let peak = offer(&api, 16, time).await;
        let over = offer(&api, 144, time).await;
        let grown = memory().saturating_sub(before);
        println!("peak {peak:?}, over {over:?}, grown by {grown} KiB");
        assert_eq!(peak.refused, 0, "{peak:?}");
        assert!(over.refused > 0, "{over:?}");
        assert!(over.slowest < Duration::from_secs(5), "{over:?}");
        assert!(grown < 64 << 10, "grown by {grown} KiB");
        let of = over.per_second / peak.per_second;
        if of >= of_peak {
            return;
        }
        kept.push(of);
    }
    panic!("never as much as {of_peak} of the peak: {kept:?}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn three_times_too_much_is_refused_early_and_the_rest_served_as_ever() {
    // The clients that are refused are on the server's own cores here, unoptimized, beside other tests.
    three_times_too_much(Duration::from_secs(1), 0.75).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "a minute and more: for measuring on a quiet machine"]
async fn a_minute_of_three_times_too_much() {
    three_times_too_much(Duration::from_secs(60), 0.9).await;
}

/// Memory of this process, in KiB.
fn memory() -> u64 {
    let status = std::fs::read_to_string("/proc/self/status").unwrap();
    let line = status.lines().find(|line| line.starts_with("VmRSS:"));
    let number = line.and_then(|line| line.split_whitespace().nth(1));
    number.unwrap().parse().unwrap()
}
