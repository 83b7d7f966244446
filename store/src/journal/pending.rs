//! The answer to a pushed record, to come.

use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::task::{Context, Poll};

use tokio::sync::oneshot;

use super::closed;
use crate::{Res, Verdict};

/// Resolves to the record's number and its verdict, once it is durable. Answers of a run come in order.
/// [`crate::StoreError::Refused`]: its data is at fault; any other error: the journal has ended.
#[derive(Debug)]
pub struct Pending {
    pub(super) seq: u64,
    pub(super) answer: oneshot::Receiver<Answer>,
}

/// What a record is answered.
#[derive(Debug)]
pub(super) struct Answer {
    pub(super) verdict: Res<Verdict>,
    /// Held by the first refusal of a run, until its owner has seen it.
    pub(super) unseen: Option<Unseen>,
}

/// Says so when it is dropped: the refusal was seen, or nobody is left to see it.
#[derive(Debug)]
pub(super) struct Unseen(pub(super) Arc<AtomicBool>);

impl Drop for Unseen {
    fn drop(&mut self) {
        self.0.store(true, Ordering::Release);
    }
}

impl Future for Pending {
    type Output = (u64, Res<Verdict>);

    fn poll(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Self::Output> {
        let seq = self.seq;
        Pin::new(&mut self.answer)
            .poll(context)
            .map(|answer| match answer {
                Ok(Answer { verdict, unseen }) => {
                    drop(unseen);
                    (seq, verdict)
                }
                Err(_) => (seq, Err(closed())),
            })
    }
}
