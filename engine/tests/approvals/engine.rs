//! The engine's decisions one after the other, written back as a store would.

use std::sync::Arc;
use std::time::Duration;

use neena_engine::approval::{Ask, AskState, Origin, Party, Principal, Roles, Subject};
use neena_engine::ids::{FlowId, OrganizationId, RunId, UserId, WorkerId};
use neena_engine::run::{
    Actor, ApprovalStatus, AskChange, Change, Decision, Facts, Final, LiveRun, Phase, Refused,
    RunStatus, Say, TaskKey, Vote, What, decide,
};
use neena_engine::{Hash, Micros};
use uuid::Uuid;

use crate::case::{Case, Step, Word, email, stage_name};
use crate::model::Verdict;

pub struct Decided<'a> {
    case: &'a Case,
    /// What every way in is taken for, if for one.
    way: Option<&'static str>,
    now: Micros,
    pub facts: Facts,
}

fn user(who: usize) -> UserId {
    UserId(Uuid::from_u128(who as u128))
}

fn party(who: usize) -> Party {
    Party {
        // Not everybody named in a plan is known by their id.
        user: (!who.is_multiple_of(3)).then(|| user(who)),
        email: email(who),
    }
}

impl<'a> Decided<'a> {
    pub fn new(case: &'a Case, way: Option<&'static str>) -> Decided<'a> {
        let now = Micros(0);
        let plan = Hash::of(b"plan");
        let subject = match case.gate {
            true => Subject::Gate(TaskKey {
                index: 3,
                item: None,
            }),
            false => Subject::Run,
        };
        let live = LiveRun {
            run: RunId(Uuid::nil()),
            organization: OrganizationId(Uuid::nil()),
            flow: FlowId(Uuid::nil()),
            phase: if case.gate {
                Phase::Running
            } else {
                Phase::Waiting
            },
            intent: None,
            owner: case.gate.then(|| WorkerId(Uuid::nil())),
            claim: None,
            epoch: i64::from(case.gate),
            claims: 0,
            inbox_seq: 0,
            wake_at: None,
            ready_at: None,
            deadline_at: None,
            priority: 0,
            plan_hash: plan,
            approved_hash: case.gate.then_some(plan),
            plan_v: 2,
        };
        Decided {
            case,
            way,
            now,
            facts: Facts {
                fresh: live.clone(),
                live: Some(live),
                run: Final {
                    status: if case.gate {
                        RunStatus::InProgress
                    } else {
                        RunStatus::Pending
                    },
                    approval_status: case.gate.then_some(ApprovalStatus::Approved),
                    plan_hash: plan,
                    approved_hash: case.gate.then_some(plan),
                    epoch: 0,
                    round: 1,
                },
                ask: Some(Ask::new(subject, &case.policy, now)),
                votes: Vec::new(),
                policy: Some(Arc::new(case.policy.clone())),
                origin: Some(Arc::new(Origin {
                    requester: party(case.requester),
                    author: case.author.map(party),
                })),
                roles: Roles::default(),
                code_current: true,
                timeout: None,
            },
        }
    }

    /// What the step comes to; none if only time passes.
    pub fn step(&mut self, step: &Step) -> Option<Result<Change, Refused>> {
        let subject = match self.case.gate {
            true => Subject::Gate(TaskKey {
                index: 3,
                item: None,
            }),
            false => Subject::Run,
        };
        let decision = match step {
            Step::Approve(word) => Decision::Approve(self.say(subject, word)),
            Step::Reject(word) => Decision::Reject(self.say(subject, word)),
            Step::Lapse => Decision::Lapse { on: subject },
            Step::Cancel(who) => Decision::Cancel {
                actor: self.actor(*who, "rest"),
            },
            Step::Wait(seconds) => {
                self.now = self.now.after(Duration::from_secs(*seconds));
                return None;
            }
        };
        let decided = decide(&self.facts, &decision, self.now);
        if let Ok(change) = &decided {
            self.write(change);
        }
        Some(decided)
    }

    fn say(&mut self, on: Subject, word: &Word) -> Say {
        let people = &self.case.people;
        let principals = people[word.who].stands_in_for.iter().map(|one| Principal {
            user: Some(user(*one)),
            email: email(*one).to_lowercase(),
            groups: groups(&people[*one].groups),
        });
        self.facts.roles = Roles {
            groups: groups(&people[word.who].groups),
            stands_in_for: principals.collect(),
        };
        Say {
            actor: self.actor(word.who, word.way),
            on,
            plan_hash: None,
            stage: word.stage.map(stage_name),
            comment: word.reason.then(|| "for a reason".to_owned()),
            answer: None,
        }
    }

    fn actor(&self, who: usize, way: &'static str) -> Actor {
        let person = &self.case.people[who];
        let permissions = [(person.approves, "approve"), (person.deploys, "deploy")];
        let granted = permissions.iter().filter(|(has, _)| *has);
        Actor {
            user: user(who),
            email: email(who),
            permissions: granted.map(|(_, word)| (*word).to_owned()).collect(),
            way: self.way.unwrap_or(way),
        }
    }

    fn write(&mut self, change: &Change) {
        self.facts.live.clone_from(&change.live);
        self.facts.run.status = change.run.status;
        self.facts.run.approval_status = change.run.approval_status;
        self.facts.run.approved_hash = change.run.approved_hash;
        if let Some(vote) = &change.vote {
            let same = |old: &Vote| (old.approver, old.stage) == (vote.approver, vote.stage);
            self.facts.votes.retain(|old| !same(old));
            self.facts.votes.push(vote.clone());
        }
        match &change.ask {
            AskChange::Write(ask) => self.facts.ask = Some(ask.clone()),
            // The gates of a run that is cleaned up are its owner's to withdraw.
            AskChange::Drop if !self.case.gate => self.facts.ask = None,
            // No code moves on here.
            AskChange::Drop | AskChange::Keep | AskChange::Anew => {}
        }
    }

    /// What was decided about the plan or the gate, in the end.
    pub fn outcome(&self) -> Option<bool> {
        let Some(ask) = self.facts.ask.as_ref().filter(|_| self.case.gate) else {
            let status = self.facts.run.approval_status;
            return status.map(|status| status == ApprovalStatus::Approved);
        };
        match ask.state {
            AskState::Open => None,
            state => Some(state == AskState::Approved),
        }
    }
}

fn groups(names: &[&str]) -> Vec<String> {
    names.iter().map(ToString::to_string).collect()
}

/// What a decision comes to, in a word.
pub fn verdict(
    before: Option<bool>,
    after: Option<bool>,
    decided: &Result<Change, Refused>,
) -> Verdict {
    match decided {
        Ok(change) => match (change.note.what, before, after) {
            (What::Cancel, ..) => Verdict::Cancelled,
            (What::Remind, ..) => Verdict::Reminded,
            (What::Escalate, ..) => Verdict::Escalated,
            (_, None, Some(true)) => Verdict::Approved,
            (_, None, Some(false)) => Verdict::Rejected,
            _ => Verdict::Counted,
        },
        Err(Refused::AlreadySo) => Verdict::AlreadySo,
        Err(Refused::Denied(_)) => Verdict::Denied,
        Err(Refused::Late(_)) => Verdict::Late,
        Err(Refused::ReasonRequired) => Verdict::NoReason,
        Err(Refused::NotDue) => Verdict::NotDue,
        Err(_) => Verdict::Conflict,
    }
}
