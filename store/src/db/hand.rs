//! Connections of a pool kept at hand between uses. A pool asks each connection that comes back to it whether it still
//! lives, which is a round trip for every statement.

use std::sync::Arc;
use std::time::Duration;

use parking_lot::Mutex;
use sqlx::pool::PoolConnection;
use sqlx::postgres::{PgConnection, PgPool};
use sqlx::{Connection, Error, Postgres};
use tokio::runtime::Handle;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio::time::{Instant, timeout};

use super::connections::STALE;

/// How long a connection is kept from its pool: the pool closes those that are old, or not needed any more.
const KEPT: Duration = Duration::from_secs(60);

/// How long one that is tried has to answer.
const ANSWER: Duration = Duration::from_secs(1);

/// A pool, all of whose connections may be at hand. The one used last is lent first.
#[derive(Clone, Debug)]
pub struct Hand {
    pool: PgPool,
    place: Arc<Place>,
}

#[derive(Debug)]
struct Place {
    /// As many as the pool has connections: whoever has one finds a connection here or there.
    turns: Arc<Semaphore>,
    patience: Duration,
    kept: Mutex<Vec<Kept>>,
    /// On which the pool brings back what was lent.
    runtime: Handle,
}

impl Drop for Place {
    /// The last handle may go where no runtime is, and the pool asks for one.
    fn drop(&mut self) {
        let _inside = self.runtime.enter();
        self.kept.get_mut().clear();
    }
}

#[derive(Debug)]
struct Kept {
    connection: PoolConnection<Postgres>,
    /// Since when it is no longer in the pool.
    taken: Instant,
    used: Instant,
    /// Another one was lost since.
    suspect: bool,
}

/// A connection for one use. Dropped, it goes back to the pool, which tries it.
#[derive(Debug)]
pub(super) struct Lent {
    connection: PoolConnection<Postgres>,
    taken: Instant,
    place: Hand,
    // After the connection: whoever waits for the turn finds it where it is put.
    _turn: OwnedSemaphorePermit,
}

impl Hand {
    /// Called within a runtime, which it asks of its pool, too.
    pub(super) fn new(pool: PgPool) -> Hand {
        let options = pool.options();
        let place = Place {
            turns: Arc::new(Semaphore::new(options.get_max_connections() as usize)),
            patience: options.get_acquire_timeout(),
            kept: Mutex::default(),
            runtime: Handle::current(),
        };
        Hand {
            pool,
            place: Arc::new(place),
        }
    }

    /// One that was used a moment ago, otherwise one that is tried.
    pub(super) async fn take(&self) -> Result<Lent, Error> {
        let taking = timeout(self.place.patience, self.lent()).await;
        taking.unwrap_or(Err(Error::PoolTimedOut))
    }

    async fn lent(&self) -> Result<Lent, Error> {
        let turn = Arc::clone(&self.place.turns).acquire_owned().await;
        let turn = turn.map_err(|_| Error::PoolClosed)?;
        let lent = |connection, taken| Lent {
            connection,
            taken,
            place: self.clone(),
            _turn: turn,
        };
        loop {
            let Some(mut kept) = self.newest() else {
                let connection = self.pool.acquire().await?;
                return Ok(lent(connection, Instant::now()));
            };
            if kept.is_fresh() || lives(&mut kept.connection).await {
                return Ok(lent(kept.connection, kept.taken));
            }
            kept.connection.close_on_drop();
        }
    }

    fn newest(&self) -> Option<Kept> {
        self.place.kept.lock().pop()
    }

    fn keep(&self, kept: Kept) {
        let unused = {
            let mut all = self.place.kept.lock();
            if kept.taken.elapsed() < KEPT {
                all.push(kept);
            }
            // What was not needed for so long is at the bottom.
            let unused = all.first().is_some_and(|kept| kept.used.elapsed() >= KEPT);
            unused.then(|| all.remove(0))
        };
        drop(unused);
        if self.pool.is_closed() {
            self.empty();
        }
    }

    fn suspect(&self) {
        for kept in self.place.kept.lock().iter_mut() {
            kept.suspect = true;
        }
    }

    /// Back to the pool.
    pub(super) fn empty(&self) {
        let all = std::mem::take(&mut *self.place.kept.lock());
        drop(all);
    }
}

impl Kept {
    /// Whether it can be used without being tried.
    fn is_fresh(&self) -> bool {
        !self.suspect && self.used.elapsed() < STALE
    }
}

async fn lives(connection: &mut PgConnection) -> bool {
    matches!(timeout(ANSWER, connection.ping()).await, Ok(Ok(())))
}

impl Lent {
    pub(super) fn connection(&mut self) -> &mut PgConnection {
        &mut self.connection
    }

    /// Keeps it at hand: it is in no transaction, and nothing is left to be read of it.
    pub(super) fn keep(self) {
        let Lent {
            connection,
            taken,
            place,
            _turn,
        } = self;
        place.keep(Kept {
            connection,
            taken,
            used: Instant::now(),
            suspect: false,
        });
    }

    /// Closes it: nobody knows in what state it is. Where one is lost the others may be, too.
    pub(super) fn close(mut self) {
        self.connection.close_on_drop();
        self.place.suspect();
    }

    /// For the next, as far as `outcome` says that it is there.
    pub(super) fn end<T>(self, outcome: &Result<T, Error>) {
        match outcome {
            Err(error) if crate::StoreError::is_lost(error) => self.close(),
            _ => self.keep(),
        }
    }
}
