//! A message to a webhook, signed as Standard Webhooks has it.

use std::error::Error;
use std::time::{SystemTime, UNIX_EPOCH};

use reqwest::StatusCode;
use reqwest::header::CONTENT_TYPE;

use super::Undelivered;
use super::egress::{Barred, Egress};
use super::keys::HookSecret;

/// A message ready to go.
pub(crate) struct Post {
    id: String,
    seconds: i64,
    signature: String,
    body: String,
}

impl Post {
    /// The message `id` with `body`, signed as of now.
    pub(crate) fn signed(id: &str, secret: &HookSecret, body: String) -> Post {
        let now = SystemTime::now().duration_since(UNIX_EPOCH);
        let seconds = i64::try_from(now.unwrap_or_default().as_secs()).unwrap_or(i64::MAX);
        Post {
            id: id.to_owned(),
            seconds,
            signature: secret.sign(id, seconds, &body),
            body,
        }
    }
}

/// Sends it. What the receiver says beside its status is not read.
pub(crate) async fn send(egress: &Egress, url: &str, post: Post) -> Result<(), Undelivered> {
    let (url, client) = egress
        .way(url)
        .map_err(|barred| Undelivered::Never(barred.to_string()))?;
    let sent = client
        .post(url)
        .header(CONTENT_TYPE, "application/json")
        .header("webhook-id", post.id)
        .header("webhook-timestamp", post.seconds)
        .header("webhook-signature", post.signature)
        .body(post.body)
        .send()
        .await;
    match sent {
        Ok(answer) if answer.status().is_success() => Ok(()),
        Ok(answer) if answer.status() == StatusCode::GONE => {
            Err(Undelivered::Never("the receiver is gone (410)".to_owned()))
        }
        Ok(answer) => Err(Undelivered::Later(format!(
            "answered {}",
            answer.status().as_u16()
        ))),
        Err(error) => Err(Undelivered::Later(told(&error))),
    }
}

/// What failed, without what was found out about the inside of a network.
fn told(error: &reqwest::Error) -> String {
    let mut cause = error.source();
    while let Some(inner) = cause {
        if let Some(barred) = inner.downcast_ref::<Barred>() {
            return barred.to_string();
        }
        cause = inner.source();
    }
    match (error.is_timeout(), error.is_connect()) {
        (true, _) => "no answer in time".to_owned(),
        (_, true) => "no connection could be made".to_owned(),
        _ => "the connection broke".to_owned(),
    }
}
