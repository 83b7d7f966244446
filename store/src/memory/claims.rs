//! Workers and their claims.

use std::time::Duration;

use neena_engine::Micros;
use neena_engine::ids::{RunId, WorkerId};
use neena_engine::run::{LiveRun, Phase};

use super::flaw::Flaw;
use super::state::{Lease, State};
use crate::seam::GIVEN_BACK;
use crate::{Beat, Claim, Held, Hosts, Member, Message, Which, WorkerCard};

impl State {
    pub(super) fn join(&mut self, card: &WorkerCard, now: Micros) {
        let until = now.after(card.lease);
        let member = || Member {
            id: card.id,
            name: card.name.clone(),
            slots: card.slots,
            hosts: card.hosts.clone(),
        };
        self.workers.entry(card.id).or_insert_with(|| Lease {
            alive: true,
            until,
            member: member(),
        });
    }

    pub(super) fn advertise(&mut self, worker: WorkerId, hosts: &Hosts) {
        if let Some(row) = self.workers.get_mut(&worker).filter(|row| row.alive) {
            row.member.hosts.clone_from(hosts);
        }
    }

    pub(super) fn roster(&self) -> Vec<Member> {
        let alive = self.workers.values().filter(|row| row.alive);
        alive.map(|row| row.member.clone()).collect()
    }

    pub(super) fn beat(&mut self, worker: WorkerId, lease: Duration, now: Micros) -> Beat {
        match self.workers.get_mut(&worker) {
            Some(row) if row.alive => row.until = now.after(lease),
            _ => return Beat::Dead,
        }
        let owned = self.live.values().filter(|live| live.owner == Some(worker));
        Beat::Alive {
            db_now: now,
            held: owned.cloned().filter_map(Held::of).collect(),
        }
    }

    pub(super) fn leave(&mut self, worker: WorkerId, now: Micros) {
        if let Some(row) = self.workers.get_mut(&worker) {
            row.alive = false;
        }
        for run in self.owned_by(|owner| owner == worker) {
            if let Some(live) = self.live.get_mut(&run) {
                live.claims = 0;
            }
            if let Some(freed) = self.free(run, now) {
                self.send(Message::RESUMED, freed, now, GIVEN_BACK);
            }
        }
    }

    pub(super) fn owned_by(&self, is: impl Fn(WorkerId) -> bool) -> Vec<RunId> {
        self.live
            .values()
            .filter(|live| live.owner.is_some_and(&is))
            .map(|live| live.run)
            .collect()
    }

    pub(super) fn claim(&mut self, claim: &Claim, which: Which<'_>) -> Vec<Held> {
        let (mut free, limit): (Vec<&LiveRun>, usize) = match which {
            Which::Named(runs) => {
                let mut runs = runs.to_vec();
                runs.sort_unstable();
                runs.dedup();
                (
                    runs.iter().filter_map(|run| self.live.get(run)).collect(),
                    usize::MAX,
                )
            }
            Which::Next(_) if self.has(Flaw::TableNotRead) => return Vec::new(),
            Which::Next(limit) => {
                let mut all: Vec<&LiveRun> = self.live.values().collect();
                all.sort_by_key(|live| (-live.priority, live.ready_at));
                (all, usize::from(limit))
            }
        };
        let owned_too = self.has(Flaw::ClaimsOwned);
        free.retain(|live| claimable(live, claim.plan_v, owned_too));
        let (healthy, suspect): (Vec<&LiveRun>, Vec<&LiveRun>) =
            free.into_iter().partition(|live| live.claims < 2);
        let mut taken: Vec<RunId> = healthy.iter().take(limit).map(|live| live.run).collect();
        if taken.len() < limit && claim.suspect {
            taken.extend(suspect.first().map(|live| live.run));
        }
        taken
            .into_iter()
            .filter_map(|run| self.take(run, claim))
            .collect()
    }

    fn take(&mut self, run: RunId, claim: &Claim) -> Option<Held> {
        let raises = !self.has(Flaw::EpochNotRaised);
        let counts = !self.has(Flaw::ClaimsNotCounted);
        let live = self.live.get_mut(&run)?;
        live.owner = Some(claim.worker);
        live.claim = Some(claim.id);
        live.epoch += i64::from(raises);
        live.claims += i64::from(counts);
        live.wake_at = None;
        if live.phase == Phase::Ready {
            live.phase = Phase::Running;
        }
        Held::of(live.clone())
    }
}

fn claimable(live: &LiveRun, plan_v: u32, owned_too: bool) -> bool {
    let approved = live.approved_hash == Some(live.plan_hash);
    let free = live.owner.is_none() && live.phase == Phase::Ready;
    let taken = owned_too && live.phase == Phase::Running;
    let closing = live.phase == Phase::Closing && (live.owner.is_none() || owned_too);
    live.plan_v <= plan_v && (closing || (free || taken) && approved)
}
