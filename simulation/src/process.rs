//! A process, as far as others can tell: it runs, stands still, or is dead. Whatever it does outside passes a
//! gate. What is left of a dead one behind the gate does nothing any more, as if it had vanished in the middle
//! of an await.

use std::future::pending;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};

use parking_lot::Mutex;
use tokio::sync::Notify;

use crate::dice::Dice;

/// One process.
#[derive(Debug)]
pub(crate) struct Process {
    /// Counted from 1, over all that ever were.
    pub number: u64,
    pub dice: Dice,
    standing: Mutex<Standing>,
    changed: Notify,
    hosts: AtomicBool,
    ids: AtomicU64,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Standing {
    Runs,
    Stopped,
    Dead,
}

impl Process {
    pub fn new(seed: u64, number: u64) -> Arc<Process> {
        Arc::new(Process {
            number,
            dice: Dice::new(seed, number),
            standing: Mutex::new(Standing::Runs),
            changed: Notify::new(),
            hosts: AtomicBool::new(true),
            ids: AtomicU64::new(0),
        })
    }

    /// The gate: waits while the process stands still, for ever once it is dead.
    pub async fn gate(&self) {
        loop {
            let changed = self.changed.notified();
            let standing = *self.standing.lock();
            match standing {
                Standing::Runs => return,
                Standing::Stopped => changed.await,
                Standing::Dead => pending().await,
            }
        }
    }

    pub fn is_dead(&self) -> bool {
        *self.standing.lock() == Standing::Dead
    }

    pub fn stands_still(&self) -> bool {
        *self.standing.lock() == Standing::Stopped
    }

    pub fn die(&self) {
        self.to(Standing::Dead);
    }

    pub fn stand_still(&self) {
        self.to(Standing::Stopped);
    }

    pub fn go_on(&self) {
        self.to(Standing::Runs);
    }

    fn to(&self, to: Standing) {
        {
            let mut standing = self.standing.lock();
            if *standing == Standing::Dead {
                return;
            }
            *standing = to;
        }
        self.changed.notify_waiters();
    }

    /// Whether it has the tasks' code.
    pub fn hosts(&self) -> bool {
        self.hosts.load(Ordering::Relaxed)
    }

    pub fn host(&self, hosts: bool) {
        self.hosts.store(hosts, Ordering::Relaxed);
    }

    /// A number no other process gives.
    pub fn id(&self) -> u128 {
        let count = self.ids.fetch_add(1, Ordering::Relaxed) + 1;
        let luck = u128::from(self.dice.roll() & 0xffff_ffff);
        (u128::from(self.number) << 96) | (u128::from(count) << 48) | luck
    }
}
