//! Work for the API: runs made and approved, at once or evenly over a time.

use std::time::{Duration, Instant};

use futures_util::{StreamExt, stream};
use uuid::Uuid;

use crate::client::{Client, Flow};

/// How many calls are under way at once, where nothing else is said.
pub const PARALLEL: usize = 16;

/// An approval that was acknowledged.
#[derive(Clone, Copy, Debug)]
pub struct Approved {
    pub run: Uuid,
    pub took: Duration,
    pub tries: u32,
}

/// The runs of these.
pub fn runs_of(approved: &[Approved]) -> Vec<Uuid> {
    approved.iter().map(|one| one.run).collect()
}

impl Client {
    /// Makes so many runs that wait for approval.
    pub async fn runs(&self, flow: &Flow, count: usize) -> anyhow::Result<Vec<Uuid>> {
        let made = stream::iter(0..count).map(|_| self.run(flow, false));
        let made: Vec<anyhow::Result<Uuid>> = made.buffer_unordered(PARALLEL).collect().await;
        made.into_iter().collect()
    }

    /// Approves them as fast as the API takes it; what was acknowledged.
    pub async fn approve_all(&self, runs: &[Uuid], parallel: usize) -> Vec<Approved> {
        let approved = stream::iter(runs.to_vec()).map(|run| self.approved(run));
        let approved = approved.buffer_unordered(parallel);
        approved
            .filter_map(|run| async move { run })
            .collect()
            .await
    }

    /// Approves them evenly spread over a time; what was acknowledged.
    pub async fn approve_over(&self, runs: &[Uuid], time: Duration) -> Vec<Approved> {
        let (began, count) = (Instant::now(), runs.len().max(1));
        let approved = stream::iter((0u32..).zip(runs.to_vec())).map(move |(at, run)| async move {
            let due = began + time.mul_f64(f64::from(at) / count as f64);
            tokio::time::sleep_until(due.into()).await;
            self.approved(run).await
        });
        let approved = approved.buffer_unordered(256);
        approved
            .filter_map(|run| async move { run })
            .collect()
            .await
    }

    async fn approved(&self, run: Uuid) -> Option<Approved> {
        let began = Instant::now();
        match self.approve(run).await {
            Ok(tries) => Some(Approved {
                run,
                took: began.elapsed(),
                tries,
            }),
            Err(error) => {
                eprintln!("not approved: {error}");
                None
            }
        }
    }
}
