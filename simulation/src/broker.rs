//! The broker: it loses, doubles, delays and reorders messages, goes down, and gives those of a dead consumer to
//! others. Remote tasks, once they are simulated, travel by it too.

mod line;

use std::collections::{BTreeMap, VecDeque};
use std::sync::Arc;

use neena_bus::Wake;
use neena_engine::ids::{RunId, WorkerId};
use parking_lot::Mutex;
use tokio::sync::{Notify, mpsc};

pub(crate) use line::Line;

use crate::process::Process;

/// Wake-ups on their way, and who listens for pokes.
#[derive(Debug)]
pub(crate) struct Broker {
    state: Mutex<State>,
    arrived: Notify,
}

#[derive(Debug, Default)]
struct State {
    down: bool,
    ready: VecDeque<Wake>,
    /// Handed to a process and not done, by its number.
    unacked: BTreeMap<u64, Vec<Wake>>,
    pokes: BTreeMap<WorkerId, (Arc<Process>, mpsc::Sender<RunId>)>,
}

impl Broker {
    pub fn new() -> Broker {
        Broker {
            state: Mutex::default(),
            arrived: Notify::new(),
        }
    }

    /// It goes down, or comes back with everything unfinished to be handed out again.
    pub fn set_down(&self, down: bool) {
        {
            let mut state = self.state.lock();
            state.down = down;
            let unacked = std::mem::take(&mut state.unacked);
            state.ready.extend(unacked.into_values().flatten());
        }
        self.arrived.notify_waiters();
    }

    /// Forgets all wake-ups; how many.
    pub fn purge(&self) -> usize {
        let mut state = self.state.lock();
        let count = state.ready.len();
        state.ready.clear();
        count
    }

    /// A process is gone: others may have what it did not finish.
    pub fn lost(&self, process: u64) {
        {
            let mut state = self.state.lock();
            let unacked = state.unacked.remove(&process).unwrap_or_default();
            state.ready.extend(unacked);
        }
        self.arrived.notify_waiters();
    }

    fn is_down(&self) -> bool {
        self.state.lock().down
    }

    /// A wake-up arrives, `back` places before the end.
    fn enqueue(&self, wake: Wake, back: usize) {
        {
            let mut state = self.state.lock();
            let at = state.ready.len().saturating_sub(back);
            state.ready.insert(at, wake);
        }
        self.arrived.notify_waiters();
    }
}
