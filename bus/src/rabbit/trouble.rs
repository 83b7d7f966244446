//! What goes wrong with a broker, and how long it is waited for.

use std::time::Duration;

use crate::BusError;

/// How long the broker may take to answer a call.
pub(super) const ANSWER: Duration = Duration::from_secs(5);

/// Why a call to the broker did not succeed.
#[derive(Clone, Debug, thiserror::Error)]
pub(crate) enum Trouble {
    #[error("{0}")]
    Amqp(#[from] lapin::Error),
    #[error("no answer to {0} in time")]
    Slow(&'static str),
    #[error("the name is too long for a queue: {0}")]
    Name(String),
    #[error("{0}")]
    Lost(String),
    #[error("the broker cancelled a consumer; its queue was deleted")]
    Cancelled,
}

impl From<Trouble> for BusError {
    fn from(trouble: Trouble) -> BusError {
        BusError(trouble.to_string())
    }
}

/// A call to the broker that hangs is a failure.
pub(crate) async fn answered<T>(
    what: &'static str,
    call: impl Future<Output = lapin::Result<T>>,
) -> Result<T, Trouble> {
    match tokio::time::timeout(ANSWER, call).await {
        Ok(answer) => Ok(answer?),
        Err(_) => Err(Trouble::Slow(what)),
    }
}

/// A name as the protocol carries it: at most 255 bytes.
pub(crate) fn short(name: &str) -> Result<lapin::types::ShortString, Trouble> {
    lapin::types::ShortString::try_new(name)
        .map_err(|_| Trouble::Name(name.chars().take(80).collect()))
}
