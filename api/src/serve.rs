//! Serves the router on a listener: bounded connections, timed heads, an orderly stop.

use std::io;
use std::sync::Arc;
use std::time::Duration;

use hyper::server::conn::http1;
use hyper_util::rt::{TokioIo, TokioTimer};
use hyper_util::service::TowerToHyperService;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use crate::config::Connections;
use crate::courier::Courier;
use crate::state::AppState;
use crate::surface::router;

/// How long accepting rests after it failed for want of resources.
const REST: Duration = Duration::from_millis(50);

/// How long deliveries under way may take once the server is told to stop.
const LAST_WORDS: Duration = Duration::from_secs(1);

/// Serves until `stop` is cancelled; then no connection is accepted, requests under way are finished
/// within the grace period, and what is still open after it is cut.
pub async fn serve(listener: TcpListener, app: AppState, stop: CancellationToken) {
    let limits = app.config().connections;
    let service = TowerToHyperService::new(router(app.clone()));
    let mut courier = tokio::spawn(Courier::new(app.clone()).run(stop.clone()));
    let places = Arc::new(Semaphore::new(limits.most));
    let tasks = TaskTracker::new();
    let cut = CancellationToken::new();
    while let Some((stream, place)) = next(&listener, &places, &stop).await {
        let connection = Connection {
            service: service.clone(),
            limits,
            place,
        };
        tasks.spawn(connection.serve(stream, stop.clone(), cut.clone()));
    }
    app.stopping();
    drop(listener);
    tasks.close();
    if tokio::time::timeout(limits.grace, tasks.wait())
        .await
        .is_err()
    {
        tracing::warn!(
            connections = tasks.len(),
            "connections are cut after the grace period"
        );
        cut.cancel();
        tasks.wait().await;
    }
    // What it began and does not end in time is tried again after its lease.
    if tokio::time::timeout(LAST_WORDS, &mut courier)
        .await
        .is_err()
    {
        courier.abort();
    }
}

/// The next connection and its place among those served; none once the server is to stop.
async fn next(
    listener: &TcpListener,
    places: &Arc<Semaphore>,
    stop: &CancellationToken,
) -> Option<(TcpStream, OwnedSemaphorePermit)> {
    let place = stop
        .run_until_cancelled(Arc::clone(places).acquire_owned())
        .await?
        .ok()?;
    loop {
        match stop.run_until_cancelled(listener.accept()).await? {
            Ok((stream, _)) => return Some((stream, place)),
            Err(error) if is_the_clients(&error) => {}
            Err(error) => {
                tracing::warn!(%error, "no connection can be accepted");
                stop.run_until_cancelled(tokio::time::sleep(REST)).await?;
            }
        }
    }
}

fn is_the_clients(error: &io::Error) -> bool {
    use io::ErrorKind::{ConnectionAborted, ConnectionRefused, ConnectionReset};
    matches!(
        error.kind(),
        ConnectionAborted | ConnectionRefused | ConnectionReset
    )
}

struct Connection<S> {
    service: S,
    limits: Connections,
    /// Given back when the connection ends.
    place: OwnedSemaphorePermit,
}

impl Connection<TowerToHyperService<axum::Router>> {
    async fn serve(self, stream: TcpStream, stop: CancellationToken, cut: CancellationToken) {
        if let Err(error) = stream.set_nodelay(true) {
            tracing::debug!(%error, "a connection ended at once");
            return;
        }
        let mut http = http1::Builder::new();
        http.timer(TokioTimer::new())
            .header_read_timeout(self.limits.header_timeout);
        let mut connection =
            std::pin::pin!(http.serve_connection(TokioIo::new(stream), self.service));
        let mut stopping = false;
        let ended = loop {
            tokio::select! {
                ended = connection.as_mut() => break ended,
                () = stop.cancelled(), if !stopping => {
                    stopping = true;
                    connection.as_mut().graceful_shutdown();
                }
                () = cut.cancelled() => break Ok(()),
            }
        };
        if let Err(error) = ended {
            tracing::debug!(%error, "a connection ended early");
        }
        drop(self.place);
    }
}
