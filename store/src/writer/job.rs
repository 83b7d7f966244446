//! What the writer runs: a unit of work, and the one who waits for it.

use std::panic::AssertUnwindSafe;

use futures_util::FutureExt;
use futures_util::future::BoxFuture;
use tokio::sync::oneshot;

use crate::db::Transaction;
use crate::{Res, StoreError};

/// A job of the writer. It does SQL only: every other job waits for it.
pub(crate) trait Job: Send {
    /// Runs in the transaction; false: roll its changes back.
    fn run<'a>(&'a mut self, tx: &'a Transaction) -> BoxFuture<'a, bool>;

    /// Tells whoever waits: what it answered itself if that is an error or `committed` is, else the error.
    fn answer(self: Box<Self>, committed: Res<()>);
}

/// A closure and its answer, which is held back until the commit.
pub(crate) struct Unit<F, T, E> {
    work: Option<F>,
    outcome: Option<Result<T, E>>,
    reply: oneshot::Sender<Result<T, E>>,
}

impl<F, T, E> Unit<F, T, E> {
    /// The job, and where its answer arrives.
    pub(crate) fn new(work: F) -> (Unit<F, T, E>, oneshot::Receiver<Result<T, E>>) {
        let (reply, answer) = oneshot::channel();
        (
            Unit {
                work: Some(work),
                outcome: None,
                reply,
            },
            answer,
        )
    }
}

impl<F, T, E> Job for Unit<F, T, E>
where
    F: for<'c> FnOnce(&'c Transaction) -> BoxFuture<'c, Result<T, E>> + Send,
    T: Send,
    E: From<StoreError> + Send,
{
    fn run<'a>(&'a mut self, tx: &'a Transaction) -> BoxFuture<'a, bool> {
        Box::pin(async move {
            let Some(work) = self.work.take() else {
                return false;
            };
            let outcome = guarded(work, tx).await;
            let done = outcome.is_ok();
            self.outcome = Some(outcome);
            done
        })
    }

    fn answer(self: Box<Self>, committed: Res<()>) {
        let answer = match (self.outcome, committed) {
            (Some(Err(own)), _) => Err(own),
            (_, Err(error)) => Err(E::from(error)),
            (Some(outcome), Ok(())) => outcome,
            (None, Ok(())) => Err(E::from(StoreError::Unavailable(
                "it was not run".to_owned(),
            ))),
        };
        // Whoever asked may have gone; the unit stands all the same.
        let _ = self.reply.send(answer);
    }
}

/// Runs `work`; a panic in it becomes an error, so that the writer and its other jobs live on.
pub(crate) async fn guarded<F, T, E>(work: F, tx: &Transaction) -> Result<T, E>
where
    F: for<'c> FnOnce(&'c Transaction) -> BoxFuture<'c, Result<T, E>>,
    E: From<StoreError>,
{
    match AssertUnwindSafe(async { work(tx).await })
        .catch_unwind()
        .await
    {
        Ok(outcome) => outcome,
        Err(_) => {
            tracing::error!("a unit of work panicked");
            Err(E::from(StoreError::Refused(
                "the unit of work panicked".to_owned(),
            )))
        }
    }
}
