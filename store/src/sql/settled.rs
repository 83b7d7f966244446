//! Decisions, until it is known what became of them. Whoever asked gets the answer of the try that was
//! written, however many it took.

use std::time::Duration;

use tokio::time::Instant;
use uuid::Uuid;

use super::case::Case;
use super::decide;
use crate::outlet::count_ends;
use crate::writer::Lane;
use crate::{Db, Decided, Res, StoreError};

/// Tries of a decision that others are in the way of.
const TRIES: u32 = 5;
/// How long the answer of a decision in doubt is looked for.
const DOUBT: Duration = Duration::from_secs(15);

pub(super) async fn decide(db: &Db, cases: Vec<Case>) -> Res<Vec<Decided>> {
    let Some(flow_run) = cases.first().map(|case| case.deciding.run) else {
        return Ok(Vec::new());
    };
    let start = Instant::now();
    let mut doubt = None;
    let mut tries = 0;
    loop {
        tries += 1;
        let error = match once(db, cases.clone()).await {
            Err(error) => error,
            Ok(decided) => {
                for one in &decided {
                    if let Decided::Done { outbox, .. } = one {
                        count_ends(outbox);
                    }
                }
                return Ok(decided);
            }
        };
        if matches!(error, StoreError::Unknown(_)) {
            doubt = Some(error.clone());
        }
        let again = match (&error, &doubt) {
            (StoreError::Refused(_), _) => false,
            // Until it is known nothing else is true.
            (_, Some(_)) => start.elapsed() < DOUBT,
            (StoreError::Busy(_), None) => tries < TRIES,
            _ => false,
        };
        if !again {
            return Err(doubt.unwrap_or(error));
        }
        tracing::info!(%error, tries, %flow_run, decisions = cases.len(), "a decision is tried again");
        tokio::time::sleep(pause(tries)).await;
    }
}

async fn once(db: &Db, cases: Vec<Case>) -> Res<Vec<Decided>> {
    let decided = db
        .run::<_, StoreError, _>(Lane::Api, cases.len(), move |tx| {
            Box::pin(async move {
                let decided = decide::decide(tx, cases).await?;
                fail::fail_point!("decide.before_commit", |what| Err(crate::failpoint::error(
                    what.as_deref(),
                    StoreError::Unavailable
                )));
                Ok(decided)
            })
        })
        .await?;
    fail::fail_point!("decide.after_commit", |what| Err(crate::failpoint::error(
        what.as_deref(),
        StoreError::Unknown
    )));
    Ok(decided)
}

/// 10 to 50 ms at first, so that two that met do not meet again; longer later.
fn pause(tries: u32) -> Duration {
    let jitter = u64::try_from(Uuid::new_v4().as_u128() % 40).unwrap_or(0);
    Duration::from_millis(10 + jitter) * tries.min(20)
}
