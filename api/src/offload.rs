//! Moves work away from the request: to a thread made for it, or to a task that outlives the client.

use tracing::Instrument;

use crate::error::ApiError;

/// Runs `work` on a blocking thread if it is `heavy`, here otherwise.
pub(crate) async fn offload<T: Send + 'static>(
    heavy: bool,
    work: impl FnOnce() -> T + Send + 'static,
) -> Result<T, ApiError> {
    if !heavy {
        return Ok(work());
    }
    tokio::task::spawn_blocking(work)
        .await
        .map_err(|error| ApiError::Internal(format!("offloaded work: {error}")))
}

/// Runs `work` to its end even if whoever waits for it is dropped. A panic goes on to whoever waits.
pub(crate) async fn detached<T: Send + 'static>(
    work: impl Future<Output = T> + Send + 'static,
) -> T {
    if inline() {
        return work.await;
    }
    match tokio::spawn(work.in_current_span()).await {
        Ok(outcome) => outcome,
        Err(error) => match error.try_into_panic() {
            Ok(panic) => std::panic::resume_unwind(panic),
            // Only the end of the runtime cancels it.
            Err(_) => std::future::pending().await,
        },
    }
}

/// A planted bug: work ends with whoever asked for it.
fn inline() -> bool {
    fail::fail_point!("unit.inline", |_| true);
    false
}
