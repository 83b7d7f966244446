//! What keepers do.

use neena_engine::Micros;
use neena_engine::ids::RunId;
use neena_engine::run::Phase;

use super::flaw::Flaw;
use super::state::State;
use crate::seam::{FIRST_TRY, HEAD_START, LATER_TRY};
use crate::{Census, Lapsed, Message};

impl State {
    pub(super) fn wake(&mut self, limit: u16, now: Micros) -> Vec<Message> {
        if self.has(Flaw::NeverWakes) {
            return Vec::new();
        }
        let mut due: Vec<(Micros, RunId)> = self
            .live
            .values()
            .filter(|live| live.phase == Phase::Parked)
            .filter_map(|live| Some((live.wake_at.filter(|due| *due <= now)?, live.run)))
            .collect();
        due.sort_unstable();
        due.truncate(usize::from(limit));
        due.into_iter()
            .filter_map(|(_, run)| {
                let live = self.live.get_mut(&run)?;
                live.phase = Phase::Ready;
                live.ready_at = Some(now);
                live.wake_at = None;
                live.inbox_seq += 1;
                let about = (live.organization, run, live.epoch);
                Some(self.send(Message::RESUMED, about, now, HEAD_START))
            })
            .collect()
    }

    pub(super) fn lapsed(&self, limit: u16, now: Micros) -> Vec<Lapsed> {
        let mut due: Vec<_> = self
            .asks
            .iter()
            .filter_map(|(place, ask)| Some((ask.wake_at.filter(|due| *due <= now)?, *place)))
            .collect();
        due.sort_unstable();
        due.truncate(usize::from(limit));
        due.into_iter()
            .filter_map(|(_, (run, subject))| {
                Some(Lapsed {
                    run,
                    organization: self.runs.get(&run)?.organization,
                    subject,
                })
            })
            .collect()
    }

    pub(super) fn census(&self) -> Census {
        let ready = self.live.values().filter(|live| {
            live.owner.is_none() && matches!(live.phase, Phase::Ready | Phase::Closing)
        });
        Census {
            ready: ready.clone().count() as u64,
            ready_since: ready.filter_map(|live| live.ready_at).min(),
            outbox: self.outbox.len() as u64,
            outbox_since: self.outbox.values().map(|row| row.message.at).min(),
            workers: self.workers.values().filter(|row| row.alive).count() as u64,
        }
    }

    pub(super) fn due_by(&self, until: Micros, limit: u16) -> Vec<Micros> {
        let parked = self
            .live
            .values()
            .filter(|live| live.phase == Phase::Parked);
        let mut dues: Vec<Micros> = parked
            .filter_map(|live| live.wake_at.filter(|due| *due <= until))
            .collect();
        dues.sort_unstable();
        dues.truncate(usize::from(limit));
        dues
    }

    /// Whether somebody's lease has lapsed, or a worker that is dead or unknown still owns a run.
    pub(super) fn any_lapsed(&self, now: Micros) -> bool {
        let mut workers = self.workers.values();
        workers.any(|lease| lease.alive && lease.until < now) || !self.orphans().is_empty()
    }

    /// Runs whose owner is dead, or nobody.
    fn orphans(&self) -> Vec<RunId> {
        let unknown = !self.has(Flaw::JoinsLazily);
        self.owned_by(|owner| match self.workers.get(&owner) {
            Some(lease) => !lease.alive,
            None => unknown,
        })
    }

    pub(super) fn bury(&mut self, limit: u16, now: Micros) -> Vec<Message> {
        if self.has(Flaw::NeverBuries) {
            return Vec::new();
        }
        for lease in self.workers.values_mut() {
            lease.alive &= lease.until >= now;
        }
        let mut orphans = self.orphans();
        orphans.truncate(usize::from(limit));
        self.free_all(orphans, now)
    }

    pub(super) fn bury_all(&mut self, now: Micros) -> Vec<Message> {
        self.workers
            .values_mut()
            .for_each(|lease| lease.alive = false);
        let owned = self.owned_by(|_| true);
        self.free_all(owned, now)
    }

    fn free_all(&mut self, runs: Vec<RunId>, now: Micros) -> Vec<Message> {
        runs.into_iter()
            .filter_map(|run| {
                let freed = self.free(run, now)?;
                Some(self.send(Message::RESUMED, freed, now, HEAD_START))
            })
            .collect()
    }

    pub(super) fn outbox_take(&mut self, limit: u16, now: Micros) -> Vec<Message> {
        let due = self.outbox.values_mut().filter(|row| row.try_after <= now);
        due.take(usize::from(limit))
            .map(|row| {
                let wait = match row.tries {
                    0 => FIRST_TRY,
                    _ => LATER_TRY,
                };
                row.try_after = now.after(wait);
                row.tries += 1;
                row.message.clone()
            })
            .collect()
    }
}
