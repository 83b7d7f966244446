//! Time and ids for the worker: a seam, so that a simulation can hold both.

use std::fmt::Debug;
use std::time::Duration;

use neena_engine::Micros;
use parking_lot::Mutex;
use tokio::time::Instant;
use uuid::Uuid;

/// Time by the database's clock, and fresh ids.
pub trait Clock: Send + Sync + Debug {
    /// The database's time, as well as it is known here.
    fn now(&self) -> Micros;
    /// The database just said that it is `db_now`.
    fn adjust(&self, db_now: Micros);
    /// A fresh UUIDv7.
    fn id(&self) -> Uuid;

    /// The local moment at which the database's clock shows `due`.
    fn instant(&self, due: Micros) -> Instant {
        Instant::now() + due.since(self.now())
    }
}

/// Monotonic local time, anchored to what the database said last: a wall clock that jumps moves nothing.
#[derive(Debug)]
pub struct DatabaseClock(Mutex<(Micros, Instant)>);

impl DatabaseClock {
    /// A clock anchored to `db_now`.
    pub fn new(db_now: Micros) -> DatabaseClock {
        DatabaseClock(Mutex::new((db_now, Instant::now())))
    }
}

impl Clock for DatabaseClock {
    fn now(&self) -> Micros {
        let (anchor, at) = *self.0.lock();
        anchor.after(at.elapsed())
    }

    fn adjust(&self, db_now: Micros) {
        // Never backwards: a due time that was reached stays reached.
        if db_now.since(self.now()) > Duration::ZERO {
            *self.0.lock() = (db_now, Instant::now());
        }
    }

    fn id(&self) -> Uuid {
        Uuid::now_v7()
    }
}
