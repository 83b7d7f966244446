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

/// Runs `work` to its end even if the client hangs up meanwhile.
pub(crate) async fn detached<T: Send + 'static>(
    work: impl Future<Output = Result<T, ApiError>> + Send + 'static,
) -> Result<T, ApiError> {
    tokio::spawn(work.in_current_span())
        .await
        .unwrap_or_else(|error| Err(ApiError::Internal(format!("detached work: {error}"))))
}
