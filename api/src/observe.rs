//! What is seen of every request: an id in its answer, a span around it, one line when it is answered.

use std::time::Instant;

use axum::extract::{MatchedPath, Request};
use axum::http::header::{CACHE_CONTROL, HeaderName, X_CONTENT_TYPE_OPTIONS};
use axum::http::{HeaderValue, Method, StatusCode};
use axum::middleware::Next;
use axum::response::Response;
use tracing::{Instrument, Span, field};
use uuid::Uuid;

use crate::surface::BASE;

const REQUEST_ID: HeaderName = HeaderName::from_static("x-request-id");

/// Ids of clients are taken over up to this length.
const LONGEST_ID: usize = 64;

/// Gives the request an id, its answer the headers all answers have, and the log its line. Neither
/// tokens nor payloads are written.
pub(crate) async fn observe(request: Request, next: Next) -> Response {
    let id = id(&request);
    let path = request
        .extensions()
        .get::<MatchedPath>()
        .map(MatchedPath::as_str);
    let route = path.unwrap_or("none").trim_end_matches('/').to_owned();
    let span = tracing::info_span!(
        "request",
        method = %request.method(),
        route = route.as_str(),
        request_id = id,
        status = field::Empty,
        latency_us = field::Empty,
    );
    let method = word(request.method());
    let api = request.uri().path().starts_with(BASE);
    let started = Instant::now();
    let mut response = next.run(request).instrument(span.clone()).await;
    finish(&span, response.status(), started);
    count(method, route, response.status(), started);
    let headers = response.headers_mut();
    if let Ok(id) = HeaderValue::from_str(&id) {
        headers.insert(REQUEST_ID, id);
    }
    headers.insert(X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff"));
    if api {
        headers.insert(CACHE_CONTROL, HeaderValue::from_static("no-store"));
    }
    response
}

fn finish(span: &Span, status: StatusCode, started: Instant) {
    let latency_us = u64::try_from(started.elapsed().as_micros()).unwrap_or(u64::MAX);
    span.record("status", status.as_u16());
    span.record("latency_us", latency_us);
    let _entered = span.enter();
    if status.is_server_error() {
        tracing::warn!("answered");
    } else {
        tracing::info!("answered");
    }
}

/// By the route's template, never by what the client wrote: a label takes few values.
fn count(method: &'static str, route: String, status: StatusCode, started: Instant) {
    let status = status.as_u16().to_string();
    metrics::histogram!("neena_http_request_seconds", "route" => route.clone())
        .record(started.elapsed());
    metrics::counter!(
        "neena_http_requests_total", "method" => method, "route" => route, "status" => status
    )
    .increment(1);
}

/// The method as a label.
fn word(method: &Method) -> &'static str {
    const KNOWN: [&str; 7] = ["GET", "POST", "PUT", "DELETE", "HEAD", "OPTIONS", "PATCH"];
    KNOWN
        .into_iter()
        .find(|known| *known == method.as_str())
        .unwrap_or("other")
}

/// The client's id for the request if it is a plain word, else one of ours.
fn id(request: &Request) -> String {
    let plain = |text: &&str| {
        (1..=LONGEST_ID).contains(&text.len())
            && text
                .bytes()
                .all(|byte| byte.is_ascii_alphanumeric() || b"-_.".contains(&byte))
    };
    let given = request
        .headers()
        .get(REQUEST_ID)
        .and_then(|id| id.to_str().ok());
    given
        .filter(plain)
        .map_or_else(|| Uuid::now_v7().to_string(), str::to_owned)
}
