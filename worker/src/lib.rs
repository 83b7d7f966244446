//! The worker: takes approved runs, drives each through the pure engine, runs the tasks, and has
//! every outcome recorded.

mod attempt;
mod beat;
mod clock;
mod drive;
pub mod executors;
mod held;
mod intake;
mod remote;
mod slots;

use std::sync::Arc;
use std::sync::atomic::AtomicUsize;
use std::time::Duration;

use metrics::gauge;
use neena_bus::Bus;
use neena_bus::remote::TaskBus;
use neena_engine::ids::WorkerId;
use neena_store::{Hosts, Journal, Res, Store, StoreError, WorkerCard};
use parking_lot::Mutex;
use tokio::sync::{Notify, watch};
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

pub use clock::{Clock, DatabaseClock};

use crate::drive::Note;
use crate::executors::Executors;
use crate::held::HeldRuns;
use crate::remote::{Remote, Roster};
use crate::slots::Slots;

/// How often joining is tried again whose answer was lost.
const JOINS: u32 = 5;

/// How a worker is set up.
#[derive(Clone, Debug)]
pub struct Settings {
    /// For people: what `workers` shows.
    pub name: String,
    /// Attempts that run at once.
    pub slots: usize,
    /// Runs held at once.
    pub runs: usize,
    /// How long this worker may be silent before its runs go to others.
    pub lease: Duration,
    /// How long running tasks may go on after a stop was asked for.
    pub grace: Duration,
}

/// What a worker is plugged into.
#[derive(Clone, Debug)]
pub struct Seams {
    pub store: Arc<dyn Store>,
    pub bus: Arc<dyn Bus>,
    /// Carries single tasks between workers; without it every task runs where its run is held.
    pub tasks: Option<Arc<dyn TaskBus>>,
    pub journal: Journal,
    pub executors: Arc<Executors>,
    pub clock: Arc<dyn Clock>,
}

/// What all parts of one worker share.
#[derive(Debug)]
pub(crate) struct Shared {
    settings: Settings,
    store: Arc<dyn Store>,
    bus: Arc<dyn Bus>,
    journal: Journal,
    executors: Arc<Executors>,
    clock: Arc<dyn Clock>,
    slots: Slots,
    /// Tasks that travel; none where no bus carries them.
    remote: Option<Remote>,
    /// Who else is there.
    roster: Mutex<Arc<Roster>>,
    /// What the others know to be hosted here.
    advertised: Mutex<Hosts>,
    /// Other code is hosted than before.
    rehosted: Notify,
    held: HeldRuns,
    /// Claim calls under way whose runs are not in `held` yet.
    claiming: AtomicUsize,
    /// This incarnation; a dead one never returns.
    id: watch::Sender<WorkerId>,
    /// Until when, by local time, claims are ours to make and effects ours to start.
    lease_until: Mutex<Instant>,
    /// The lease was renewed.
    renewals: Notify,
    /// A run slot came free.
    freed: Notify,
    /// A suspect run was cleared or ended: the next one may be taken.
    cleared: Notify,
    drivers: TaskTracker,
}

/// A running worker.
#[derive(Debug)]
pub struct Worker {
    shared: Arc<Shared>,
    stop: CancellationToken,
    loops: TaskTracker,
    /// Ends the heartbeat and the pokes: later than `stop`, since runs are held until the drivers are
    /// done.
    silence: CancellationToken,
    listeners: TaskTracker,
}

impl Worker {
    /// Joins the cluster and starts taking runs.
    pub async fn start(settings: Settings, seams: Seams) -> Res<Worker> {
        let Seams {
            store,
            bus,
            tasks,
            journal,
            executors,
            clock,
        } = seams;
        let id = WorkerId(clock.id());
        let shared = Arc::new(Shared {
            slots: Slots::new(settings.slots),
            remote: tasks.map(|tasks| Remote::new(tasks, id)),
            roster: Mutex::default(),
            advertised: Mutex::default(),
            rehosted: Notify::new(),
            lease_until: Mutex::new(Instant::now()),
            renewals: Notify::new(),
            settings,
            store,
            bus,
            journal,
            executors,
            clock,
            held: HeldRuns::default(),
            claiming: AtomicUsize::new(0),
            id: watch::Sender::new(id),
            freed: Notify::new(),
            cleared: Notify::new(),
            drivers: TaskTracker::new(),
        });
        shared.join(id).await?;
        shared.refresh_roster().await;
        gauge!("neena_slots").set(shared.settings.slots as f64);
        let stop = CancellationToken::new();
        let loops = TaskTracker::new();
        loops.spawn(intake::run(shared.clone(), stop.clone()));
        let silence = CancellationToken::new();
        let listeners = TaskTracker::new();
        remote::start(&shared, &loops, &stop, &listeners, &silence);
        loops.close();
        listeners.spawn(intake::pokes(shared.clone(), silence.clone()));
        listeners.spawn(beat::run(shared.clone(), silence.clone()));
        listeners.close();
        Ok(Worker {
            shared,
            stop,
            loops,
            silence,
            listeners,
        })
    }

    /// This incarnation's id.
    pub fn id(&self) -> WorkerId {
        self.shared.id()
    }

    /// Runs held now.
    pub fn held(&self) -> usize {
        self.shared.held.len()
    }

    /// Takes no more runs, lets running tasks finish within the grace, records what they gave, and
    /// gives every run back.
    pub async fn stop(self) -> Res<()> {
        self.stop.cancel();
        self.loops.wait().await;
        let until = Instant::now() + self.shared.settings.grace;
        for (_, hold) in self.shared.held.all() {
            // A driver that is gone has nothing to give back.
            let _ = hold.notes.send(Note::Drain(until)).await;
        }
        self.shared.drivers.close();
        self.see_guests_off(until).await;
        let recorded = Duration::from_secs(5);
        if tokio::time::timeout_at(until + recorded, self.shared.drivers.wait())
            .await
            .is_err()
        {
            tracing::warn!(
                runs = self.shared.held.len(),
                "runs still under way at the end of the grace"
            );
        }
        self.shared.executors.shutdown().await;
        self.silence.cancel();
        self.listeners.wait().await;
        self.shared.store.leave(self.shared.id()).await
    }
}

impl Worker {
    /// Lets the tasks of others finish until then, and stops what is left.
    async fn see_guests_off(&self, until: Instant) {
        let Some(remote) = &self.shared.remote else {
            return;
        };
        let guests = &remote.guests;
        guests.tasks.close();
        if tokio::time::timeout_at(until, guests.tasks.wait())
            .await
            .is_err()
        {
            guests.stop_all();
            // Their owners are told, and send them to somebody else.
            let told = Duration::from_secs(2);
            if tokio::time::timeout(told, guests.tasks.wait())
                .await
                .is_err()
            {
                tracing::warn!(tasks = guests.tasks.len(), "tasks of others are left");
            }
        }
    }
}

impl Shared {
    /// Enters this incarnation into the database.
    async fn join(&self, id: WorkerId) -> Res<()> {
        let asked = Instant::now();
        let card = WorkerCard {
            id,
            name: self.settings.name.clone(),
            slots: u32::try_from(self.settings.slots).unwrap_or(u32::MAX),
            lease: self.settings.lease,
            hosts: self.executors.hosted(),
        };
        let mut tries = 0;
        let db_now = loop {
            match self.store.join(&card).await {
                Ok(db_now) => break db_now,
                // The same again: if it was written, that changes nothing.
                Err(StoreError::Unknown(_) | StoreError::Unavailable(_) | StoreError::Busy(_))
                    if tries < JOINS =>
                {
                    tries += 1;
                    tokio::time::sleep(Duration::from_millis(50) * tries).await;
                }
                Err(error) => return Err(error),
            }
        };
        *self.advertised.lock() = card.hosts;
        self.id.send_replace(id);
        self.renewed(asked, db_now);
        Ok(())
    }

    /// The lease was renewed by a call made at `asked`. It counts from before the call, less a margin.
    fn renewed(&self, asked: Instant, db_now: neena_engine::Micros) {
        self.clock.adjust(db_now);
        let margin = self.settings.lease / 5;
        *self.lease_until.lock() = asked + self.settings.lease - margin;
        self.renewals.notify_waiters();
    }

    /// Shows how things stand.
    fn gauge(&self) {
        gauge!("neena_slots_busy").set(self.slots.busy() as f64);
        gauge!("neena_runs_held").set(self.held.len() as f64);
        let left = self
            .lease_until
            .lock()
            .saturating_duration_since(Instant::now());
        gauge!("neena_lease_seconds_left").set(left.as_secs_f64());
    }

    fn id(&self) -> WorkerId {
        *self.id.borrow()
    }

    fn lease_holds(&self) -> bool {
        Instant::now() < *self.lease_until.lock()
    }

    /// Waits while the lease may have lapsed: whatever is held may be somebody else's by now.
    async fn lease(&self) {
        while !self.lease_holds() {
            let mut renewed = std::pin::pin!(self.renewals.notified());
            // Those who wait are woken in the order in which they came.
            renewed.as_mut().enable();
            if self.lease_holds() {
                return;
            }
            renewed.await;
        }
    }

    /// How many more runs may be taken. What could only wait here is left to others, and to later: a
    /// run that is held through a crash without having started would look as if it had caused it. Nothing is
    /// taken while the database has no room for what is recorded already.
    fn free(&self) -> usize {
        if self.journal.full() {
            return 0;
        }
        let places = self.settings.runs.saturating_sub(self.held.len());
        // A quarter more than can start keeps the slots busy while the next claim is on its way.
        let slots = self.slots.free() + self.settings.slots.div_ceil(4);
        places.min(slots.saturating_sub(self.slots.waiting()))
    }
}
