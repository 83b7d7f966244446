//! The journal: the one way a worker's records reach the store.
//!
//! Records are written at once when nothing is being written, and together when much happens at the same time.
//! One batch is in flight; what nobody waits for rides along with what is urgent, or is written lazily
//! after 50 ms, or as soon as it fills a batch. The records of a run are written in their order.

mod limits;
mod pending;
mod queue;
mod queues;
mod write;

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use parking_lot::Mutex;
use tokio::sync::Notify;
use tokio::task::JoinHandle;
use tokio::time::Instant;
use tokio_util::sync::{CancellationToken, DropGuard};

pub use pending::Pending;
use queues::{Next, Queues};

use crate::{Entry, Outlet, Res, Store, StoreError};

/// How long records that nobody waits for may linger in memory.
const LINGER: Duration = Duration::from_millis(50);

/// A handle to the process's journal; cheap to clone. It is flushed and ends when it is closed or its
/// last handle is dropped.
#[derive(Clone, Debug)]
pub struct Journal {
    shared: Arc<Shared>,
    task: Arc<Mutex<Option<JoinHandle<()>>>>,
    _stop: Arc<DropGuard>,
}

#[derive(Debug)]
struct Shared {
    store: Arc<dyn Store>,
    outlet: Outlet,
    queues: Mutex<Queues>,
    /// Something was pushed.
    work: Notify,
    /// Something was taken to be written.
    room: Notify,
    stop: CancellationToken,
    /// Whether the database has no room.
    full: AtomicBool,
}

impl Journal {
    /// Starts the journal. Messages of committed records go to `outlet`.
    pub fn start(store: Arc<dyn Store>, outlet: Outlet) -> Journal {
        let stop = CancellationToken::new();
        let shared = Arc::new(Shared {
            store,
            outlet,
            queues: Mutex::new(Queues::default()),
            work: Notify::new(),
            room: Notify::new(),
            stop: stop.clone(),
            full: AtomicBool::new(false),
        });
        let task = tokio::spawn(run(Arc::clone(&shared)));
        Journal {
            shared,
            task: Arc::new(Mutex::new(Some(task))),
            _stop: Arc::new(stop.drop_guard()),
        }
    }

    /// Takes a record; waits only while too much is queued. The answer comes when the record is durable:
    /// for one that is not urgent, that is when a later one of its run is. If the store refuses the data of a
    /// record, it and all later ones of the run are not written and answer so, until the caller has
    /// seen the first of these answers.
    pub async fn push(&self, entry: Entry) -> Res<Pending> {
        let mut entry = Some(entry);
        loop {
            let room = self.shared.room.notified();
            tokio::pin!(room);
            // From here on no notice is missed.
            room.as_mut().enable();
            if self.shared.stop.is_cancelled() {
                return Err(closed());
            }
            if let Some(pending) = self.shared.try_push(&mut entry) {
                self.shared.work.notify_one();
                return Ok(pending);
            }
            tokio::select! {
                biased;
                () = room => {}
                () = self.shared.stop.cancelled() => {}
            }
        }
    }

    /// Whether the database has no room for what is queued, which is tried again each second. A worker
    /// takes no runs meanwhile.
    pub fn full(&self) -> bool {
        self.shared.full.load(Ordering::Relaxed)
    }

    /// Writes what is queued, then ends. Later records are turned away.
    pub async fn close(&self) {
        self.shared.stop.cancel();
        let task = self.task.lock().take();
        if let Some(task) = task {
            // It panics nowhere; if it was aborted with its runtime there is nothing to wait for.
            let _ = task.await;
        }
    }
}

impl Shared {
    fn set_full(&self, full: bool) {
        if self.full.swap(full, Ordering::Relaxed) != full {
            match full {
                true => tracing::error!("the database is full; records are kept until it has room"),
                false => tracing::info!("the database has room again"),
            }
        }
    }

    /// Takes the entry and queues it, if there is room.
    fn try_push(&self, entry: &mut Option<Entry>) -> Option<Pending> {
        let mut queues = self.queues.lock();
        if !queues.has_room() {
            return None;
        }
        entry.take().map(|entry| queues.push(entry, Instant::now()))
    }
}

async fn run(shared: Arc<Shared>) {
    loop {
        let closing = shared.stop.is_cancelled();
        let next = shared.queues.lock().next(Instant::now(), closing);
        match next {
            Next::Write(batch) => {
                shared.room.notify_waiters();
                shared.write(batch).await;
            }
            Next::Wait(_) if closing => break,
            Next::Wait(until) => tokio::select! {
                biased;
                () = shared.work.notified() => {}
                () = shared.stop.cancelled() => {}
                () = at(until) => {}
            },
        }
    }
    // Whoever still waits is told by the loss of its answer.
    shared.queues.lock().clear();
}

async fn at(moment: Option<Instant>) {
    match moment {
        Some(moment) => tokio::time::sleep_until(moment).await,
        None => std::future::pending().await,
    }
}

fn closed() -> StoreError {
    StoreError::Unavailable("the journal is closed".to_owned())
}
