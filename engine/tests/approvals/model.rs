//! What a policy means, written a second time: small, slow, and by counting everything anew.

use std::collections::BTreeSet;

use neena_engine::approval::OnExpiry;

use crate::case::{Case, Step, Word, email};

/// How a step ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Verdict {
    /// A vote that does not decide.
    Counted,
    Approved,
    Rejected,
    Reminded,
    Escalated,
    Cancelled,
    AlreadySo,
    Denied,
    Late,
    NoReason,
    Conflict,
    NotDue,
}

/// An approval: by whom, in which stage, in whose place.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Ballot {
    pub who: usize,
    pub stage: usize,
    pub place: usize,
}

#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Outcome {
    Approved,
    Rejected(usize),
    Expired,
}

pub struct Model<'a> {
    case: &'a Case,
    pub now: u64,
    pub ballots: Vec<Ballot>,
    pub outcome: Option<Outcome>,
    cancelled: bool,
    escalated: bool,
    /// In milliseconds, as is `now`.
    due: Option<u64>,
    looked: u64,
}

impl<'a> Model<'a> {
    pub fn new(case: &'a Case) -> Model<'a> {
        Model {
            case,
            now: 0,
            ballots: Vec::new(),
            outcome: None,
            cancelled: false,
            escalated: false,
            due: case.policy.expires_in_ms,
            looked: 0,
        }
    }

    /// What the step comes to; none if only time passes.
    pub fn step(&mut self, step: &Step) -> Option<Verdict> {
        Some(match step {
            Step::Approve(word) => self.approve(word),
            Step::Reject(word) => self.reject(word),
            Step::Lapse => self.lapse(),
            Step::Cancel(_) => self.cancel(),
            Step::Wait(seconds) => {
                self.now += seconds * 1_000;
                return None;
            }
        })
    }

    fn approve(&mut self, word: &Word) -> Verdict {
        let said = self.ballots.iter().any(|ballot| {
            ballot.who == word.who && word.stage.is_none_or(|stage| stage == ballot.stage)
        });
        if let Some(verdict) = self.closed(said, self.outcome == Some(Outcome::Approved)) {
            return verdict;
        }
        let stage = self.asked();
        match word.stage {
            Some(named) if named >= self.case.policy.stages.len() || named < stage => {
                return Verdict::Conflict;
            }
            Some(named) if named > stage => return Verdict::Denied,
            _ => {}
        }
        let Some(place) = self.place(word.who, stage) else {
            return Verdict::Denied;
        };
        if self.case.policy.reason_required && !word.reason {
            return Verdict::NoReason;
        }
        let who = word.who;
        self.ballots.push(Ballot { who, stage, place });
        if self.asked() < self.case.policy.stages.len() {
            return Verdict::Counted;
        }
        self.outcome = Some(Outcome::Approved);
        Verdict::Approved
    }

    fn reject(&mut self, word: &Word) -> Verdict {
        let said = self.outcome == Some(Outcome::Rejected(word.who));
        // A veto that names a stage is found again by that name, and it was cast while one was asked.
        let said = said && word.stage.is_none_or(|stage| stage == self.asked());
        if let Some(verdict) = self.closed(said, said) {
            return verdict;
        }
        let stages = self.case.policy.stages.len();
        if word.stage.is_some_and(|named| named >= stages) {
            return Verdict::Conflict;
        }
        let principals = &self.case.people[word.who].stands_in_for;
        let approver = |stage| {
            self.belongs(word.who, stage, true)
                || principals
                    .iter()
                    .any(|one| self.belongs(*one, stage, false))
        };
        if !self.case.people[word.who].approves || !(0..stages).any(approver) {
            return Verdict::Denied;
        }
        if self.case.policy.reason_required && !word.reason {
            return Verdict::NoReason;
        }
        self.outcome = Some(Outcome::Rejected(word.who));
        Verdict::Rejected
    }

    /// Why no word is taken any more, if none is.
    fn closed(&self, said: bool, as_decided: bool) -> Option<Verdict> {
        let over = self.due.is_some_and(|due| due <= self.now);
        if self.case.gate {
            return match self.outcome {
                None if said => Some(Verdict::AlreadySo),
                None if over => Some(Verdict::Late),
                None if self.cancelled => Some(Verdict::Conflict),
                None => None,
                Some(_) if said && as_decided => Some(Verdict::AlreadySo),
                Some(Outcome::Expired) => Some(Verdict::Late),
                Some(_) => Some(Verdict::Conflict),
            };
        }
        let stands = !self.cancelled || matches!(self.outcome, Some(Outcome::Rejected(_)));
        match self.outcome {
            Some(_) if said && as_decided && stands => Some(Verdict::AlreadySo),
            Some(Outcome::Expired) => Some(Verdict::Late),
            Some(_) => Some(Verdict::Conflict),
            None if self.cancelled => Some(Verdict::Conflict),
            None if said => Some(Verdict::AlreadySo),
            None if over => Some(Verdict::Late),
            None => None,
        }
    }

    fn lapse(&mut self) -> Verdict {
        let Some(due) = self
            .due
            .filter(|_| self.outcome.is_none() && !self.cancelled)
        else {
            return Verdict::NotDue;
        };
        if due <= self.now {
            let approves = self.case.policy.on_expiry == OnExpiry::Approve;
            if self.case.policy.on_expiry == OnExpiry::Escalate && !self.escalated {
                self.escalated = true;
                self.due = self.case.policy.expires_in_ms.map(|limit| self.now + limit);
                self.looked = self.now;
                return Verdict::Escalated;
            }
            self.outcome = Some(match approves {
                true => Outcome::Approved,
                false => Outcome::Expired,
            });
            return match approves {
                true => Verdict::Approved,
                false => Verdict::Rejected,
            };
        }
        // Some reminder's moment has come since it was last looked at.
        let before = self.case.policy.remind_before_ms.iter();
        let missed = before
            .filter_map(|before| due.checked_sub(*before))
            .any(|at| self.looked < at && at <= self.now);
        if !missed {
            return Verdict::NotDue;
        }
        self.looked = self.now;
        Verdict::Reminded
    }

    fn cancel(&mut self) -> Verdict {
        let ended = !self.case.gate
            && matches!(self.outcome, Some(Outcome::Rejected(_) | Outcome::Expired));
        if ended {
            return Verdict::Conflict;
        }
        if std::mem::replace(&mut self.cancelled, true) {
            return Verdict::AlreadySo;
        }
        Verdict::Cancelled
    }

    /// The first stage that has too few places filled.
    pub fn asked(&self) -> usize {
        let stages = self.case.policy.stages.iter().enumerate();
        let full = |at: usize| {
            let ballots = self.ballots.iter().filter(|ballot| ballot.stage == at);
            ballots
                .map(|ballot| ballot.place)
                .collect::<BTreeSet<_>>()
                .len()
        };
        let mut short = stages.filter(|(at, stage)| full(*at) < stage.count as usize);
        short
            .next()
            .map_or(self.case.policy.stages.len(), |(at, _)| at)
    }

    /// The place somebody may take in a stage: their own, or one that is free, or one at all.
    fn place(&self, who: usize, stage: usize) -> Option<usize> {
        let person = &self.case.people[who];
        if !person.approves || self.barred(who, stage) {
            return None;
        }
        if self.belongs(who, stage, true) {
            return Some(who);
        }
        let lent: Vec<usize> = person
            .stands_in_for
            .iter()
            .copied()
            .filter(|one| self.belongs(*one, stage, false) && !self.barred(*one, stage))
            .collect();
        let taken = |one: usize| {
            let mut here = self.ballots.iter().filter(|ballot| ballot.stage == stage);
            here.any(|ballot| ballot.who == one || ballot.place == one)
        };
        let free = lent.iter().find(|one| !taken(**one));
        free.or(lent.first()).copied()
    }

    /// Whether somebody must not approve in a stage, whoever they are there.
    fn barred(&self, who: usize, stage: usize) -> bool {
        let policy = &self.case.policy;
        let elsewhere = self
            .ballots
            .iter()
            .any(|ballot| ballot.stage != stage && (ballot.who == who || ballot.place == who));
        policy.distinct_from_requester && self.case.requester == who
            || policy.distinct_from_author && self.case.author == Some(who)
            || policy.distinct_approvers && elsewhere
    }

    /// Whether a stage asks somebody; a place is lent without its permissions.
    fn belongs(&self, who: usize, stage: usize, themselves: bool) -> bool {
        let person = &self.case.people[who];
        let among = |words: &[String]| {
            words.iter().any(|word| {
                let group = word.strip_prefix("group:");
                *word == email(who).to_lowercase()
                    || group.is_some_and(|group| person.groups.contains(&group))
                    || themselves && word == "permission:deploy" && person.deploys
            })
        };
        let stage = &self.case.policy.stages[stage].approvers;
        let others = &self.case.policy.escalate_to;
        let anyone = stage.is_anyone() || self.escalated && others.is_anyone();
        themselves && anyone
            || !anyone && (among(&stage.words()) || self.escalated && among(&others.words()))
    }
}
