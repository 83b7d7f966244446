//! Tells people what waits for them and what was decided: by signed webhooks and by e-mail. It goes by what is
//! committed, some time after it; no decision waits for it.

mod egress;
mod gather;
mod keys;
mod mail;
mod notice;
mod reaching;
mod settings;
mod webhook;

use std::sync::Arc;
use std::time::Duration;

use futures_util::FutureExt;
use neena_engine::Micros;
use neena_store::entities::delivery;
use neena_store::queries::reaching::deliveries::{self, Attempted};
use neena_store::queries::reaching::hooks;
use tokio::sync::Semaphore;
use tokio::time::{Instant, MissedTickBehavior};
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;
use uuid::Uuid;

use crate::error::ApiError;
use crate::state::AppState;

pub(crate) use gather::APPROVERS;
pub(crate) use keys::named;
pub use mail::BadMail;
pub(crate) use notice::subject;
pub(crate) use reaching::Reaching;
pub use settings::{BadEgress, EgressAllow, Reach, Smtp};

/// Deliveries under way at a time in this process.
const AT_ONCE: usize = 16;
/// How long those that ended, and links that expired, are kept.
const KEPT: Duration = Duration::from_secs(7 * 86_400);
/// How often old ones are removed.
const TIDY: Duration = Duration::from_secs(600);

/// Who carries what is to be told. Any number of processes may have one.
#[derive(Clone, Debug)]
pub struct Courier {
    app: AppState,
    places: Arc<Semaphore>,
    under_way: TaskTracker,
}

/// Why an attempt failed.
#[derive(Debug, thiserror::Error)]
pub(crate) enum Undelivered {
    /// It may be taken later.
    #[error("{0}")]
    Later(String),
    /// It will never be.
    #[error("{0}")]
    Never(String),
}

impl Courier {
    /// A courier of the API of `app`.
    pub fn new(app: AppState) -> Courier {
        Courier {
            app,
            places: Arc::new(Semaphore::new(AT_ONCE)),
            under_way: TaskTracker::new(),
        }
    }

    /// Works until `stop` is cancelled, then lets attempts under way end.
    pub async fn run(self, stop: CancellationToken) {
        let mut ticks = tokio::time::interval(self.app.config().reach.every);
        ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
        let mut tidied = Instant::now();
        while stop.run_until_cancelled(ticks.tick()).await.is_some() {
            if let Err(error) = self.look().await {
                tracing::warn!(%error, "what is to be told could not be read");
            }
            if tidied.elapsed() >= TIDY {
                tidied = Instant::now();
                if let Err(error) = self.tidy().await {
                    tracing::warn!(%error, "what was told long ago could not be removed");
                }
            }
        }
        self.settled().await;
    }

    /// Finds what is to be told, and begins to deliver what is due; how many deliveries that was.
    pub async fn look(&self) -> Result<usize, ApiError> {
        gather::asks(&self.app).await?;
        gather::decisions(&self.app).await?;
        let mut begun = 0;
        loop {
            let free = self.places.available_permits();
            let taken = self.take(free).await?;
            begun += taken.len();
            let more = !taken.is_empty() && taken.len() == free;
            for delivery in taken {
                self.begin(delivery).await;
            }
            if !more || self.places.available_permits() == 0 {
                return Ok(begun);
            }
        }
    }

    /// Waits until no attempt is under way.
    pub async fn settled(&self) {
        self.under_way.close();
        self.under_way.wait().await;
        self.under_way.reopen();
    }

    async fn take(&self, most: usize) -> Result<Vec<delivery::Model>, ApiError> {
        let db = self.app.db();
        let now = db.now().await?;
        if most == 0 || !deliveries::any_due(db.reader(), now).await? {
            return Ok(Vec::new());
        }
        let lease = self.app.config().reach.lease();
        let most = u32::try_from(most).unwrap_or(u32::MAX);
        db.lazy(move |tx| async move { Ok(deliveries::take(tx, now, lease, most).await?) }.boxed())
            .await
    }

    async fn begin(&self, delivery: delivery::Model) {
        let Ok(place) = Arc::clone(&self.places).acquire_owned().await else {
            return;
        };
        let courier = self.clone();
        self.under_way.spawn(async move {
            courier.attempt(&delivery).await;
            drop(place);
        });
    }

    async fn attempt(&self, delivery: &delivery::Model) {
        let reach = &self.app.config().reach;
        let sent = match tokio::time::timeout(reach.timeout * 2, self.deliver(delivery)).await {
            Ok(sent) => sent,
            Err(_) => Err(Undelivered::Later("no answer in time".to_owned())),
        };
        if let Err(error) = self.note(delivery, sent).await {
            // The lease ends, and it is tried again.
            tracing::warn!(%error, delivery = %delivery.id, "what became of a delivery could not be noted");
        }
    }

    async fn deliver(&self, delivery: &delivery::Model) -> Result<(), Undelivered> {
        let later = |error: ApiError| Undelivered::Later(error.to_string());
        let hook = hooks::by_id(self.app.db().reader(), delivery.hook_id).await;
        let hook = hook.map_err(ApiError::from).map_err(later)?;
        let hook = hook.ok_or_else(|| Undelivered::Never("the hook is gone".to_owned()))?;
        let notice = notice::of(&self.app, delivery).await?;
        match (&delivery.recipient, &hook.url) {
            (Some(recipient), _) => mail::send(&self.app, delivery, recipient, &notice).await,
            (None, Some(url)) => {
                let secret = self.app.reaching().keys().of_hook(hook.id);
                let (id, body) = (delivery.id.to_string(), notice.webhook());
                let post = webhook::Post::signed(&id, &secret, body);
                let egress = self.app.reaching().egress();
                let egress = egress.ok_or_else(|| Undelivered::Later("no way out".to_owned()))?;
                webhook::send(egress, url, post).await
            }
            (None, None) => Err(Undelivered::Never("the hook has no URL".to_owned())),
        }
    }

    async fn note(
        &self,
        delivery: &delivery::Model,
        sent: Result<(), Undelivered>,
    ) -> Result<(), ApiError> {
        let reach = &self.app.config().reach;
        let db = self.app.db();
        let now = db.now().await?;
        let attempted = match sent {
            Ok(()) => Attempted::Done,
            Err(Undelivered::Later(why)) if delivery.attempts < i64::from(reach.tries) => {
                let wait = jittered(reach.longest_wait(delivery.attempts));
                Attempted::Again {
                    at: now.after(wait),
                    why,
                }
            }
            Err(Undelivered::Later(why) | Undelivered::Never(why)) => {
                tracing::warn!(hook = %delivery.hook_id, delivery = %delivery.id, %why, "a delivery is given up");
                Attempted::Failed { why }
            }
        };
        let outcome = match attempted {
            Attempted::Done => "done",
            Attempted::Again { .. } => "again",
            Attempted::Failed { .. } => "failed",
        };
        metrics::counter!("neena_deliveries_total", "outcome" => outcome).increment(1);
        let delivery = delivery.clone();
        db.lazy(move |tx| {
            async move { Ok(deliveries::settle(tx, &delivery, &attempted, now).await?) }.boxed()
        })
        .await
    }

    async fn tidy(&self) -> Result<(), ApiError> {
        let db = self.app.db();
        let now = db.now().await?;
        let kept = i64::try_from(KEPT.as_micros()).unwrap_or(i64::MAX);
        let horizon = Micros(now.0.saturating_sub(kept));
        db.lazy(move |tx| async move { Ok(deliveries::forget(tx, horizon).await?) }.boxed())
            .await
            .map(drop)
    }
}

/// Anything up to `longest`: those that failed together do not come back together.
fn jittered(longest: Duration) -> Duration {
    let share = (Uuid::new_v4().as_u64_pair().0 >> 11) as f64 / (1_u64 << 53) as f64;
    longest.mul_f64(share)
}
