//! People, decisions, claims and ends, in few words.

use neena_engine::ids::{ClaimId, UserId, WorkerId};
use neena_engine::plan::PLAN_V;
use neena_engine::run::{Actor, Decision, Ending, Record, RunStatus, Say, Then};
use neena_store::{Claim, Entry, Held, Message};
use uuid::Uuid;

pub fn entry(held: &Held, seen: i64, record: Record) -> Entry {
    Entry {
        run: held.run,
        claim: held.claim,
        seen,
        record,
    }
}

/// A claim call of a worker.
pub fn claim(worker: WorkerId) -> Claim {
    Claim {
        worker,
        id: ClaimId(Uuid::now_v7()),
        plan_v: PLAN_V,
        suspect: true,
    }
}

/// A person.
pub fn actor(name: u128) -> Actor {
    Actor {
        user: UserId(Uuid::from_u128(name)),
        email: format!("{name}@example.com"),
        permissions: vec!["approve".into()],
        way: "rest",
    }
}

pub fn approve(name: u128) -> Decision {
    Decision::Approve(Say::of_run(actor(name), None))
}

pub fn reject(name: u128) -> Decision {
    Decision::Reject(Say::of_run(actor(name), None))
}

pub fn cancel(name: u128) -> Decision {
    Decision::Cancel { actor: actor(name) }
}

pub fn retry(name: u128) -> Decision {
    Decision::Retry { actor: actor(name) }
}

/// The end of a run.
pub fn finish(status: RunStatus) -> Then {
    let reason = (status != RunStatus::Completed).then(|| "on purpose".into());
    Then::Finish(Ending {
        status,
        body: format!("it {status}").into(),
        reason,
    })
}

/// The kinds of messages handed over.
pub fn kinds(messages: &[Message]) -> Vec<&str> {
    messages
        .iter()
        .map(|message| message.kind.as_str())
        .collect()
}
