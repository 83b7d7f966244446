//! Decisions of others.

use std::time::Duration;

use neena_engine::Json;
use neena_engine::Micros;
use neena_engine::ids::RunId;
use neena_engine::run::{self, Attempt, Change, Facts, LiveRun, Phase, Refused, TaskStatus, Vote};

use super::flaw::Flaw;
use super::state::{RunState, State};
use crate::seam::HEAD_START;
use crate::{Decided, Deciding};

impl State {
    /// `votes`: those to go by, where they are not the ones that stand now.
    pub(super) fn decide(
        &mut self,
        deciding: &Deciding,
        votes: Option<Vec<Vote>>,
        now: Micros,
    ) -> Decided {
        let run = self.runs.get(&deciding.run);
        let Some(row) = run.filter(|row| row.organization == deciding.organization) else {
            return Decided::NotFound;
        };
        let Some(plan) = self.plans.get(&deciding.run) else {
            return Decided::NotFound;
        };
        let facts = Facts {
            live: self.live.get(&deciding.run).cloned(),
            run: row.run.clone(),
            votes: votes.unwrap_or_else(|| self.votes_on(deciding.run)),
            quorum: plan.head.policy.count,
            code_current: deciding.code_current,
            timeout: plan.graph.body().timeout_ms.map(Duration::from_millis),
            fresh: fresh(deciding, row, plan.head.v),
        };
        match run::decide(&facts, &deciding.decision, now) {
            Ok(change) => self.apply(deciding, &facts, change, now),
            Err(Refused::AlreadySo) => Decided::AlreadySo,
            Err(refused) => Decided::Refused(refused),
        }
    }

    fn apply(
        &mut self,
        deciding: &Deciding,
        facts: &Facts,
        change: Change,
        now: Micros,
    ) -> Decided {
        let run = deciding.run;
        match &change.live {
            Some(live) => self.live.insert(run, live.clone()),
            None => self.live.remove(&run),
        };
        if let Some(row) = self.runs.get_mut(&run) {
            row.run.status = change.run.status;
            row.run.approval_status = change.run.approval_status;
            row.run.approved_hash = change.run.approved_hash;
            row.run.round = change.run.round;
            row.end_time = change.run.end_time;
            row.reason.clone_from(&change.run.reason);
        }
        if let Some(vote) = &change.vote {
            self.vote(run, vote);
        }
        if change.new_round {
            self.open_round(run, facts.run.round);
        }
        if let Some(body) = &change.body {
            self.results.insert(run, body.clone());
        }
        let epoch = facts
            .live
            .as_ref()
            .map_or(facts.run.epoch, |live| live.epoch);
        let about = (deciding.organization, run, epoch);
        let events = change.events.iter();
        let outbox = events
            .map(|kind| self.send(kind, about, now, HEAD_START))
            .collect();
        let poke = change
            .live
            .as_ref()
            .and_then(|live| live.owner)
            .filter(|_| change.poke);
        Decided::Done {
            live: change.live.map(Box::new),
            outbox,
            poke,
        }
    }

    pub(super) fn votes_on(&self, run: RunId) -> Vec<Vote> {
        self.votes.get(&run).cloned().unwrap_or_default()
    }

    /// A person's last vote on a plan counts.
    fn vote(&mut self, run: RunId, vote: &Vote) {
        let votes = self.votes.entry(run).or_default();
        votes.retain(|old| (old.approver, old.plan_hash) != (vote.approver, vote.plan_hash));
        votes.push(vote.clone());
    }

    fn open_round(&mut self, run: RunId, ended: u32) {
        self.results.remove(&run);
        if self.has(Flaw::RetryKeepsRows) {
            return;
        }
        let keys: Vec<_> = self
            .tasks
            .keys()
            .filter(|(of, _)| *of == run)
            .copied()
            .collect();
        for key in keys {
            let Some(row) = self.tasks.get_mut(&key) else {
                continue;
            };
            match row.status {
                TaskStatus::Completed => continue,
                TaskStatus::Skipped if row.attempt == 0 => {
                    self.tasks.remove(&key);
                    continue;
                }
                TaskStatus::Failed | TaskStatus::Cancelled if row.attempt > 0 => {
                    let attempt = Attempt {
                        key: row.key,
                        attempt: row.attempt,
                        start_time: row.start_time,
                        end_time: row.end_time,
                        error: row.error.clone().unwrap_or_else(Json::null),
                    };
                    self.attempts
                        .entry((run, row.key, ended, row.attempt))
                        .or_insert(attempt);
                }
                _ => {}
            }
            row.status = TaskStatus::Pending;
            row.attempts_before = row.attempt;
            row.start_time = None;
            row.end_time = None;
            row.due_at = None;
            row.result = None;
            row.error = None;
        }
    }
}

fn fresh(deciding: &Deciding, row: &RunState, plan_v: u32) -> LiveRun {
    LiveRun {
        run: deciding.run,
        organization: row.organization,
        flow: row.flow,
        phase: Phase::Ready,
        intent: None,
        owner: None,
        claim: None,
        epoch: row.run.epoch,
        claims: 0,
        inbox_seq: 0,
        wake_at: None,
        ready_at: None,
        deadline_at: None,
        priority: 0,
        plan_hash: row.run.plan_hash,
        approved_hash: row.run.approved_hash,
        plan_v,
    }
}
