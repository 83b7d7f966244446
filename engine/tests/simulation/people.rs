//! People at the gates of a run: they answer late or early, to whoever holds the run or to nobody.

use std::sync::Arc;

use neena_engine::approval::{Ask, AskState, Origin, Party, Roles, Subject};
use neena_engine::ids::{FlowId, OrganizationId, UserId, WorkerId};
use neena_engine::run::{
    Actor, ApprovalStatus, AskChange, Change, Decision, Facts, Final, LiveRun, Phase, Refused,
    RunStatus, Say, TaskKey, Vote, decide,
};
use neena_engine::{Json, Micros};
use uuid::Uuid;

use crate::graph::People;
use crate::world::World;

/// A gate that was asked about.
#[derive(Clone, Debug)]
pub struct Asking {
    pub ask: Ask,
    votes: Vec<Vote>,
}

impl From<Ask> for Asking {
    fn from(ask: Ask) -> Asking {
        Asking {
            ask,
            votes: Vec::new(),
        }
    }
}

impl World<'_> {
    /// Gates that are still open.
    pub fn open_gates(&self) -> Vec<u32> {
        let open = self.asks.iter();
        open.filter(|(_, asking)| asking.ask.state == AskState::Open)
            .map(|(index, _)| *index)
            .collect()
    }

    /// Somebody comes to an open gate, or the time of one comes.
    pub fn visit(&mut self) -> Result<(), String> {
        let open = self.open_gates();
        let Some(&index) = open.get(self.dice.below(open.len())) else {
            return Ok(());
        };
        match self.case.nodes[index as usize].gate.unwrap() {
            People::Approve(_) => self.done(index, Decision::Approve(self.say(index))),
            People::Reject => self.done(index, Decision::Reject(self.say(index))),
            People::Silent(_) => self.wait_in_vain(index),
        }
    }

    /// The next moment of a gate that nobody answers. Who comes after its time comes in vain.
    fn wait_in_vain(&mut self, index: u32) -> Result<(), String> {
        let ask = self.asks[&index].ask.clone();
        self.now = self.now.max(ask.wake_at.unwrap());
        if ask.is_over(self.now) && self.dice.chance(50) {
            let late = self.decide(index, &Decision::Approve(self.say(index)));
            if !matches!(late, Err(Refused::Late(_))) {
                return Err(format!("an answer after its time: {late:?}"));
            }
        }
        let on = ask.subject;
        self.done(index, Decision::Lapse { on })
    }

    fn done(&mut self, index: u32, decision: Decision) -> Result<(), String> {
        let change = match self.decide(index, &decision) {
            Ok(change) => change,
            // The run is being cleaned up; its gates go with it.
            Err(Refused::Conflict(_) | Refused::NotDue) if self.phase == Phase::Closing => {
                return Ok(());
            }
            Err(refused) => return Err(format!("gate {index}: {refused}")),
        };
        let asking = self.asks.get_mut(&index).unwrap();
        let AskChange::Write(ask) = change.ask else {
            return Err(format!("gate {index} is lost: {:?}", change.ask));
        };
        asking.ask = ask;
        asking.votes.extend(change.vote);
        let live = change.live.unwrap();
        self.phase = live.phase;
        self.wake_at = live.wake_at;
        self.inbox_seq = live.inbox_seq;
        // The message to the owner may be lost or late.
        if change.poke && self.dice.chance(40) {
            return self.signal();
        }
        Ok(())
    }

    fn say(&self, index: u32) -> Say {
        let who = 10 + self.asks[&index].votes.len() as u128;
        Say {
            actor: Actor {
                user: UserId(Uuid::from_u128(who)),
                email: format!("{who}@example.com"),
                permissions: vec!["approve".into()],
                way: "rest",
            },
            on: Subject::Gate(TaskKey { index, item: None }),
            plan_hash: Some(self.plan.hash),
            stage: None,
            comment: None,
            answer: Some(Json::of(&format!("answer {index} by {who}"))),
        }
    }

    fn decide(&self, index: u32, decision: &Decision) -> Result<Change, Refused> {
        let asking = &self.asks[&index];
        let operation = self.plan.graph.operation(index as usize);
        let live = self.live_row();
        let facts = Facts {
            fresh: live.clone(),
            live: Some(live),
            run: Final {
                status: match self.phase {
                    Phase::Closing => RunStatus::Cancelled,
                    _ => RunStatus::InProgress,
                },
                approval_status: Some(ApprovalStatus::Approved),
                plan_hash: self.plan.hash,
                approved_hash: Some(self.plan.hash),
                epoch: 1,
                round: 1,
            },
            ask: Some(asking.ask.clone()),
            votes: asking.votes.clone(),
            policy: operation
                .approval
                .as_ref()
                .map(|gate| Arc::new(gate.policy.clone())),
            origin: Some(Arc::new(Origin {
                requester: Party {
                    user: None,
                    email: "someone@example.com".into(),
                },
                author: None,
            })),
            roles: Roles::default(),
            code_current: true,
            timeout: None,
        };
        decide(&facts, decision, self.now)
    }

    fn live_row(&self) -> LiveRun {
        LiveRun {
            run: self.case.run(),
            organization: OrganizationId(Uuid::nil()),
            flow: FlowId(Uuid::nil()),
            phase: self.phase,
            intent: self.intent,
            owner: self.owner.as_ref().map(|_| WorkerId(Uuid::nil())),
            claim: None,
            epoch: 1,
            claims: 0,
            inbox_seq: self.inbox_seq,
            wake_at: self.wake_at,
            ready_at: Some(Micros(0)),
            deadline_at: self.deadline,
            priority: 0,
            plan_hash: self.plan.hash,
            approved_hash: Some(self.plan.hash),
            plan_v: self.plan.head.v,
        }
    }
}
