//! Reads what a client is still sending when its answer is ready.
//!
//! An answer that comes before the body was read (401, 413, …) is lost on many clients: they see the
//! connection reset while they send. So the rest of the body is read and thrown away, within bounds.

use std::pin::Pin;
use std::sync::mpsc::{Sender, channel};
use std::task::{Context, Poll};
use std::time::Duration;

use axum::body::{Body, Bytes, HttpBody};
use axum::extract::Request;
use axum::http::HeaderValue;
use axum::http::header::{CONNECTION, EXPECT};
use axum::middleware::Next;
use axum::response::Response;
use futures_util::StreamExt;
use hyper::body::{Frame, SizeHint};

/// Most bytes thrown away; whoever sends more loses the connection.
const MOST: usize = 64 << 20;

/// Longest time spent on it.
const LONGEST: Duration = Duration::from_secs(30);

/// Lets the request through; what is left of its body afterwards is read before the answer goes out.
pub(crate) async fn drain(request: Request, next: Next) -> Response {
    if request.body().is_end_stream() {
        return next.run(request).await;
    }
    let waits = request.headers().contains_key(EXPECT);
    let (parts, body) = request.into_parts();
    let (back, rest) = channel();
    let lent = Lent {
        body,
        polled: false,
        back,
    };
    let mut response = next.run(Request::from_parts(parts, Body::new(lent))).await;
    let Ok((body, polled)) = rest.try_recv() else {
        return response;
    };
    // A client that waits for our word to send its body has the answer instead.
    let sent = !waits || polled;
    let dry = body.is_end_stream()
        || sent
            && tokio::time::timeout(LONGEST, throw_away(body))
                .await
                .unwrap_or(false);
    if !dry {
        response
            .headers_mut()
            .insert(CONNECTION, HeaderValue::from_static("close"));
    }
    response
}

/// Whether the body was read to its end.
async fn throw_away(body: Body) -> bool {
    let mut stream = body.into_data_stream();
    let mut left = MOST;
    while let Some(chunk) = stream.next().await {
        match chunk.map(|chunk| left.checked_sub(chunk.len())) {
            Ok(Some(rest)) => left = rest,
            _ => return false,
        }
    }
    true
}

/// A body that comes back, with whether anybody looked into it, once its reader drops it.
struct Lent {
    body: Body,
    polled: bool,
    back: Sender<(Body, bool)>,
}

impl Drop for Lent {
    fn drop(&mut self) {
        // Nobody may be waiting for it any more.
        let _ = self
            .back
            .send((std::mem::take(&mut self.body), self.polled));
    }
}

impl HttpBody for Lent {
    type Data = Bytes;
    type Error = axum::Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, axum::Error>>> {
        self.polled = true;
        Pin::new(&mut self.body).poll_frame(context)
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}
