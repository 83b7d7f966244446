//! What a crash of the database leaves: the durable commits, and a part of the lazy ones after the last of
//! them. The log is one sequence, so a durable commit carries every lazy one before it.

use std::fmt;

use super::state::State;

/// A commit, to be done again.
type Commit = Box<dyn Fn(&mut State) + Send>;

/// The tables, and optionally what of them is on the disk.
#[derive(Debug, Default)]
pub(super) struct Tables {
    pub(super) state: State,
    disk: Option<Disk>,
}

/// The state after the last durable commit, and the lazy commits since.
#[derive(Default)]
struct Disk {
    state: State,
    lazy: Vec<Commit>,
}

impl Tables {
    /// Empty tables that can crash.
    pub(super) fn on_disk(state: State) -> Tables {
        Tables {
            disk: Some(Disk {
                state: state.clone(),
                lazy: Vec::new(),
            }),
            state,
        }
    }

    /// Commits `change`, which must do the same each time it is called on the same state.
    pub(super) fn commit<T>(
        &mut self,
        durable: bool,
        change: impl Fn(&mut State) -> T + Send + 'static,
    ) -> T {
        let answer = change(&mut self.state);
        if let Some(disk) = &mut self.disk {
            disk.lazy.push(Box::new(move |state| {
                change(state);
            }));
            if durable {
                for commit in disk.lazy.drain(..) {
                    commit(&mut disk.state);
                }
            }
        }
        answer
    }

    /// What would survive a crash for certain.
    pub(super) fn durable(&self) -> &State {
        self.disk.as_ref().map_or(&self.state, |disk| &disk.state)
    }

    /// The database crashes: of the lazy commits since the last durable one the first few stay, as many as
    /// `keep` says of their number. How many are lost.
    pub(super) fn crash(&mut self, keep: impl FnOnce(usize) -> usize) -> usize {
        let Some(disk) = &mut self.disk else {
            return 0;
        };
        let lazy = disk.lazy.len();
        let kept = keep(lazy).min(lazy);
        for commit in disk.lazy.drain(..).take(kept) {
            commit(&mut disk.state);
        }
        // Ids are random in life: none is ever used twice.
        disk.state.ids = self.state.ids;
        self.state = disk.state.clone();
        lazy - kept
    }
}

impl fmt::Debug for Disk {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Disk")
            .field("lazy", &self.lazy.len())
            .finish_non_exhaustive()
    }
}
