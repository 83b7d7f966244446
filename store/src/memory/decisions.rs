//! Decisions of others.

use std::sync::Arc;
use std::time::Duration;

use neena_engine::approval::{Ask, AskState, Principal, Roles, Subject};
use neena_engine::ids::{OrganizationId, RunId};
use neena_engine::plan::Plan;
use neena_engine::run::{
    self, AskChange, Attempt, Change, Decision, Facts, LiveRun, Note, Phase, Refused, TaskStatus,
    Vote,
};
use neena_engine::{Hash, Json, Micros};

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
        let subject = deciding.decision.subject();
        let policy = match subject {
            Subject::Run => Some(&plan.head.policy),
            Subject::Gate(key) => plan
                .graph
                .position(key.index)
                .and_then(|at| plan.graph.operation(at).approval.as_ref())
                .map(|gate| &gate.policy),
        };
        let actor = deciding.decision.actor();
        let facts = Facts {
            live: self.live.get(&deciding.run).cloned(),
            run: row.run.clone(),
            ask: self.asks.get(&(deciding.run, subject)).cloned(),
            votes: votes.unwrap_or_else(|| self.votes_on(deciding.run, subject)),
            policy: policy.cloned().map(Arc::new),
            origin: Some(Arc::new(plan.head.origin())),
            roles: actor.map_or_else(Roles::default, |actor| {
                self.roles(deciding.organization, &actor.email, now)
            }),
            code_current: deciding.code_current,
            timeout: plan.graph.body().timeout_ms.map(Duration::from_millis),
            fresh: fresh(deciding, row, plan.head.v),
        };
        match run::decide(&facts, &deciding.decision, now) {
            Ok(change) => self.apply(deciding, &facts, change, now),
            Err(Refused::AlreadySo) => Decided::AlreadySo,
            Err(refused) => {
                let note = Note::refused(&facts, &deciding.decision, &refused);
                self.log.extend(note.map(|note| (deciding.run, note)));
                Decided::Refused(refused)
            }
        }
    }

    fn roles(&self, organization: OrganizationId, email: &str, now: Micros) -> Roles {
        let email = email.to_lowercase();
        let groups = |email: &String| {
            let all = self.groups.iter();
            let of =
                all.filter(|((of, _), members)| *of == organization && members.contains(email));
            of.map(|((_, name), _)| name.clone()).collect()
        };
        let mut lent: Vec<_> = self
            .delegations
            .iter()
            .filter(|lent| {
                lent.organization == organization
                    && lent.to == email
                    && lent.starts_at <= now
                    && lent.ends_at > now
            })
            .collect();
        lent.sort_by_key(|lent| &lent.from);
        Roles {
            groups: groups(&email),
            stands_in_for: lent
                .into_iter()
                .map(|lent| Principal {
                    user: None,
                    email: lent.from.clone(),
                    groups: groups(&lent.from),
                })
                .collect(),
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
        if change.touches_run(facts)
            && let Some(row) = self.runs.get_mut(&run)
        {
            row.run.status = change.run.status;
            row.run.approval_status = change.run.approval_status;
            row.run.approved_hash = change.run.approved_hash;
            row.run.round = change.run.round;
            row.end_time = change.run.end_time;
            row.reason.clone_from(&change.run.reason);
        }
        let subject = deciding.decision.subject();
        if let Some(vote) = &change.vote {
            self.vote(run, subject, facts.run.plan_hash, vote);
        }
        self.log.push((run, change.note.clone()));
        if let Decision::Resubmit { plan, .. } = &deciding.decision {
            self.replan(run, plan, change.ask == AskChange::Anew, now);
        }
        match change.ask {
            AskChange::Keep | AskChange::Anew => {}
            AskChange::Write(ask) => drop(self.asks.insert((run, subject), ask)),
            AskChange::Drop => {
                let goes_on = change
                    .live
                    .as_ref()
                    .is_some_and(|live| live.phase != Phase::Closing);
                self.asks.retain(|(of, on), ask| {
                    *of != run || *on != Subject::Run && (goes_on || ask.state != AskState::Open)
                });
            }
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

    /// Gives a run another plan, with no vote on it.
    fn replan(&mut self, run: RunId, plan: &Arc<Plan>, ask: bool, now: Micros) {
        self.plans.insert(run, Arc::clone(plan));
        if let Some(row) = self.runs.get_mut(&run) {
            row.run.plan_hash = plan.hash;
        }
        if let Some(votes) = self.votes.get_mut(&(run, Subject::Run)) {
            votes.retain(|(hash, _)| *hash != plan.hash);
        }
        if ask {
            let ask = Ask::new(Subject::Run, &plan.head.policy, now);
            self.asks.insert((run, Subject::Run), ask);
        }
    }

    /// The votes on the run's present plan, or on a gate of it.
    pub(super) fn votes_on(&self, run: RunId, subject: Subject) -> Vec<Vote> {
        let plan = self.runs.get(&run).map(|row| row.run.plan_hash);
        let votes = self.votes.get(&(run, subject)).into_iter().flatten();
        let on_plan = votes.filter(|(hash, _)| Some(*hash) == plan);
        on_plan.map(|(_, vote)| vote.clone()).collect()
    }

    /// A person's last vote in a stage counts.
    fn vote(&mut self, run: RunId, subject: Subject, plan: Hash, vote: &Vote) {
        let votes = self.votes.entry((run, subject)).or_default();
        votes.retain(|(hash, old)| {
            (*hash, old.approver, old.stage) != (plan, vote.approver, vote.stage)
        });
        votes.push((plan, vote.clone()));
    }

    fn open_round(&mut self, run: RunId, ended: u32) {
        self.results.remove(&run);
        if self.has(Flaw::RetryKeepsRows) {
            return;
        }
        let tasks = &self.tasks;
        let stays = |of: RunId, on: Subject| match on {
            Subject::Gate(key) if of == run => tasks
                .get(&(run, key))
                .is_some_and(|row| row.status == TaskStatus::Completed),
            _ => true,
        };
        self.asks.retain(|(of, on), _| stays(*of, *on));
        self.votes.retain(|(of, on), _| stays(*of, *on));
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
