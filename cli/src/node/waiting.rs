//! Waiting for a server that does not answer yet.

use std::time::Duration;

use anyhow::bail;
use tokio::time::{Instant, sleep, timeout};
use tracing::{info, warn};

/// The first pause between two attempts; each is twice as long as the one before, up to [`LONGEST`].
const FIRST: Duration = Duration::from_millis(100);
const LONGEST: Duration = Duration::from_secs(3);
/// An attempt that takes longer has failed.
const PATIENCE: Duration = Duration::from_secs(10);

/// Why an attempt failed.
#[derive(Debug)]
pub(super) enum Failed {
    /// The next one may do better.
    Now(String),
    /// None will.
    ForGood(String),
}

/// Tries until it works, for as long as `limit`. Why it does not is logged when it changes.
pub(super) async fn until<T, F>(
    what: &str,
    limit: Duration,
    mut attempt: impl FnMut() -> F,
) -> anyhow::Result<T>
where
    F: Future<Output = Result<T, Failed>>,
{
    let began = Instant::now();
    let mut pause = FIRST;
    let mut said: Option<String> = None;
    loop {
        let why = match timeout(PATIENCE, attempt()).await {
            Ok(Ok(answer)) => {
                if said.is_some() {
                    info!("{what} answers");
                }
                return Ok(answer);
            }
            Ok(Err(Failed::ForGood(why))) => bail!("{what} cannot be used: {why}"),
            Ok(Err(Failed::Now(why))) => why,
            Err(_) => format!("no answer within {} s", PATIENCE.as_secs()),
        };
        if began.elapsed() + pause > limit {
            bail!("{what} did not answer within {} s: {why}", limit.as_secs());
        }
        if said.as_ref() != Some(&why) {
            warn!("waiting for {what}: {why}");
            said = Some(why);
        }
        sleep(pause).await;
        pause = (pause * 2).min(LONGEST);
    }
}
