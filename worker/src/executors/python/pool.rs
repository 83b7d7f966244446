//! The warm processes of one integration's code: at least one, more on demand, fewer after idle time.

use std::collections::VecDeque;
use std::sync::{Arc, Weak};
use std::time::{Duration, Instant};

use parking_lot::Mutex;
use tokio::sync::oneshot;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use super::life::Life;
use super::process::Process;
use super::{HostError, Hosted, Settings};

/// Processes that are starting at once: starting one costs a core for a moment, and while it starts
/// another call often ends.
const STARTING: usize = 2;

/// A process that dies younger than this, unasked, is not replaced before somebody wants it.
const INFANT: Duration = Duration::from_secs(5);

/// Processes that have loaded the same code.
#[derive(Debug)]
pub(super) struct Pool {
    pub hosted: Hosted,
    settings: Arc<Settings>,
    tracker: TaskTracker,
    ends: CancellationToken,
    state: Mutex<State>,
    this: Weak<Pool>,
}

#[derive(Debug, Default)]
struct State {
    /// Longest idle first; calls take the last, which is warmest.
    idle: Vec<Process>,
    /// Calls that wait for a process, first come first served.
    waiters: VecDeque<oneshot::Sender<Result<Process, HostError>>>,
    alive: usize,
    starting: usize,
    closed: bool,
}

impl Pool {
    pub fn new(
        hosted: Hosted,
        settings: Arc<Settings>,
        tracker: TaskTracker,
        ends: CancellationToken,
    ) -> Arc<Pool> {
        Arc::new_cyclic(|this| Pool {
            hosted,
            settings,
            tracker,
            ends,
            state: Mutex::default(),
            this: this.clone(),
        })
    }

    /// A process for one call: an idle one, else the first to become free or to be started.
    pub async fn take(&self) -> Result<Process, HostError> {
        let waiting = {
            let mut state = self.state.lock();
            if state.closed {
                return Err(HostError::Closed);
            }
            if let Some(process) = state.warmest() {
                return Ok(process);
            }
            let (waiter, waiting) = oneshot::channel();
            state.waiters.push_back(waiter);
            self.grow(&mut state);
            waiting
        };
        waiting.await.unwrap_or(Err(HostError::Closed))
    }

    /// Takes a process back after a call.
    pub fn give(&self, process: Process) {
        let mut state = self.state.lock();
        if !state.closed && !process.is_over() {
            state.hand_out(process);
        }
    }

    /// Has at least one process, or tells why not.
    pub async fn warm(&self) -> Result<(), HostError> {
        if self.size() > 0 {
            return Ok(());
        }
        let process = self.take().await?;
        self.give(process);
        Ok(())
    }

    /// Lets go of processes idle for longer than `idle_for`, down to `keep` in all. True: none is left.
    pub async fn shrink(&self, idle_for: Duration, keep: usize) -> bool {
        let (surplus, empty) = {
            let mut state = self.state.lock();
            let old = state
                .idle
                .iter()
                .take_while(|p| p.idle_since.elapsed() >= idle_for)
                .count();
            let count = old.min(state.alive.saturating_sub(keep));
            let surplus: Vec<Process> = state.idle.drain(..count).collect();
            (
                surplus,
                state.alive == count && state.starting == 0 && state.waiters.is_empty(),
            )
        };
        close(surplus).await;
        empty
    }

    /// Lets go of all idle processes and takes none back.
    pub async fn close(&self) {
        let idle = {
            let mut state = self.state.lock();
            state.closed = true;
            state.waiters.clear();
            std::mem::take(&mut state.idle)
        };
        close(idle).await;
    }

    /// Processes there are, idle and busy.
    pub fn size(&self) -> usize {
        self.state.lock().alive
    }

    /// Starts a process if a call waits that no process on its way will serve, and there is room.
    fn grow(&self, state: &mut State) {
        state.waiters.retain(|waiter| !waiter.is_closed());
        let room = state.alive + state.starting < self.settings.slots.max(1);
        if state.waiters.len() > state.starting && room && state.starting < STARTING {
            self.start(state);
        }
    }

    fn start(&self, state: &mut State) {
        let Some(this) = self.this.upgrade() else {
            return;
        };
        state.starting += 1;
        self.tracker.spawn(async move {
            let started =
                Process::start(&this.settings, &this.hosted, &this.tracker, &this.ends).await;
            this.started(started);
        });
    }

    fn started(&self, started: Result<Process, HostError>) {
        let mut state = self.state.lock();
        state.starting -= 1;
        match started {
            Ok(process) => {
                state.alive += 1;
                self.tracker
                    .spawn(mourn(self.this.clone(), process.life().clone()));
                if !state.closed {
                    state.hand_out(process);
                }
            }
            Err(error) => {
                tracing::warn!(integration = self.hosted.short_name, %error, "no host process");
                state.refuse(error);
            }
        }
        self.grow(&mut state);
    }

    /// A process is gone: whoever waits may need a new one, and one is to be warm.
    fn gone(&self, life: &Life) {
        let mut state = self.state.lock();
        state.alive -= 1;
        state.idle.retain(|process| !process.is_over());
        if state.closed {
            return;
        }
        self.grow(&mut state);
        if state.alive + state.starting == 0 && life.started.elapsed() >= INFANT {
            self.start(&mut state);
        }
    }
}

impl State {
    fn warmest(&mut self) -> Option<Process> {
        std::iter::from_fn(|| self.idle.pop()).find(|process| !process.is_over())
    }

    fn hand_out(&mut self, mut process: Process) {
        while let Some(waiter) = self.waiters.pop_front() {
            match waiter.send(Ok(process)) {
                Ok(()) => return,
                Err(Ok(back)) => process = back,
                Err(Err(_)) => return,
            }
        }
        process.idle_since = Instant::now();
        self.idle.push(process);
    }

    fn refuse(&mut self, mut error: HostError) {
        while let Some(waiter) = self.waiters.pop_front() {
            match waiter.send(Err(error)) {
                Err(Err(back)) => error = back,
                _ => return,
            }
        }
    }
}

async fn mourn(pool: Weak<Pool>, life: Arc<Life>) {
    life.exited().await;
    if let Some(pool) = pool.upgrade() {
        pool.gone(&life);
    }
}

async fn close(processes: Vec<Process>) {
    let grace = Duration::from_secs(1);
    futures_util::future::join_all(processes.into_iter().map(|process| process.close(grace))).await;
}
