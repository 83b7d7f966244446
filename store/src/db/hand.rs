//! A connection kept at hand between batches. A pool asks each connection that comes back to it whether it still
//! lives, which is a round trip for every batch.

use std::sync::Arc;

use parking_lot::Mutex;
use sqlx::pool::PoolConnection;
use sqlx::postgres::PgPool;
use sqlx::{Error, Postgres};
use tokio::runtime::Handle;
use tokio::time::Instant;

use super::connections::STALE;

/// Connections of a pool, one of which is kept at hand.
#[derive(Clone, Debug)]
pub(super) struct Hand {
    pool: PgPool,
    place: Arc<Place>,
}

#[derive(Debug)]
struct Place {
    kept: Mutex<Option<Kept>>,
    /// On which the pool brings back what was lent.
    runtime: Handle,
}

impl Drop for Place {
    /// The last handle may go where no runtime is, and the pool asks for one.
    fn drop(&mut self) {
        let _inside = self.runtime.enter();
        self.kept.get_mut().take();
    }
}

#[derive(Debug)]
struct Kept {
    connection: PoolConnection<Postgres>,
    since: Instant,
}

impl Hand {
    /// Called within a runtime, which it asks of its pool, too.
    pub(super) fn new(pool: PgPool) -> Hand {
        let place = Place {
            kept: Mutex::default(),
            runtime: Handle::current(),
        };
        Hand {
            pool,
            place: Arc::new(place),
        }
    }

    /// The one at hand if it was used a moment ago, otherwise one of the pool, which tries it.
    pub(super) async fn take(&self) -> Result<PoolConnection<Postgres>, Error> {
        let kept = self.place.kept.lock().take();
        match kept.filter(|kept| kept.since.elapsed() < STALE) {
            Some(kept) => Ok(kept.connection),
            None => self.pool.acquire().await,
        }
    }

    /// Keeps it for the next batch; the one that was kept meanwhile goes back to the pool.
    pub(super) fn keep(&self, connection: PoolConnection<Postgres>) {
        let since = Instant::now();
        *self.place.kept.lock() = Some(Kept { connection, since });
        if self.pool.is_closed() {
            self.empty();
        }
    }

    /// Back to the pool.
    pub(super) fn empty(&self) {
        self.place.kept.lock().take();
    }
}
