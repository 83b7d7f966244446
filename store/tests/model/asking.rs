//! Policies of the model's runs, and what it says and asks about them.

use std::time::Duration;

use neena_engine::Json;
use neena_engine::approval::{OnExpiry, Policy, Subject as On};
use neena_engine::ids::RunId;
use neena_engine::run::{Decision, Record, Say, TaskKey, Then};

use super::answers::decided_words;
use super::steps::{Gates, What, Words};
use super::subject::Subject;
use crate::harness::{actor, gate, people, reaching, stages};

/// The policies of a run and of the gates before its tasks 1 and 3.
pub fn policies(shape: u8, quorum: u32) -> (Policy, [(u32, Policy); 2]) {
    let two = stages(&[
        ("first", 1, "group:team"),
        ("last", 1, "2@example.com 3@example.com"),
    ]);
    let lasting = |policy: Policy, on_expiry| Policy {
        expires_in_ms: Some(3 * 3_600_000),
        remind_before_ms: vec![90 * 60_000],
        escalate_to: people("1@example.com"),
        on_expiry,
        ..policy
    };
    match shape {
        0 => (
            Policy::quorum(quorum),
            [(1, Policy::quorum(1)), (3, Policy::quorum(2))],
        ),
        1 => (
            Policy {
                distinct_from_requester: true,
                ..lasting(two.clone(), OnExpiry::Escalate)
            },
            [
                (1, lasting(Policy::quorum(quorum), OnExpiry::Reject)),
                (3, lasting(two, OnExpiry::Approve)),
            ],
        ),
        _ => (
            Policy {
                reason_required: true,
                ..lasting(Policy::quorum(1), OnExpiry::Approve)
            },
            [
                (1, lasting(two, OnExpiry::Escalate)),
                (
                    3,
                    Policy {
                        distinct_from_requester: true,
                        ..stages(&[("first", 1, "group:team")])
                    },
                ),
            ],
        ),
    }
}

impl Subject {
    /// The record with its gates.
    pub async fn with_gates(&self, run: RunId, record: Record, gates: &Gates) -> Record {
        let now = self.world.now().await;
        let (_, of_run) = &self.policies[&run];
        let reached: Vec<(u32, &Policy)> = of_run
            .iter()
            .filter(|(index, _)| gates.reached.contains(index))
            .map(|(index, policy)| (*index, policy))
            .collect();
        let key = |index: &u32| TaskKey {
            index: *index,
            item: None,
        };
        Record {
            asks: reaching(&reached, now, Then::Hold).asks,
            withdrawn: gates.withdrawn.iter().map(key).collect(),
            ..record
        }
    }

    /// The decision that somebody takes.
    pub fn decision(
        who: u128,
        what: What,
        words: Words,
        hash: Option<neena_engine::Hash>,
    ) -> Decision {
        let actor = actor(who);
        let say = |actor| Say {
            on: words.gate.map_or(On::Run, gate),
            stage: words.stage.map(str::to_owned),
            comment: words.comment.then(|| "as tried".to_owned()),
            answer: (words.answer && words.gate.is_some()).then(|| Json::of(&who.to_string())),
            ..Say::of_run(actor, hash)
        };
        match what {
            What::Approve => Decision::Approve(say(actor)),
            What::Reject => Decision::Reject(say(actor)),
            What::Cancel => Decision::Cancel { actor },
            What::Retry => Decision::Retry { actor },
        }
    }

    /// Decides whatever is due, in an order of its own: that of the times is not the same to the microsecond.
    pub async fn lapse(&self) -> String {
        let store = &self.world.store;
        let mut due = store.lapsed(500).await.unwrap();
        due.sort_by_key(|one| (one.run, one.subject));
        let mut words = Vec::new();
        for one in due {
            let decided = store.decide(&one.deciding()).await.unwrap();
            words.push(format!(
                "{} {:?} {}",
                one.run,
                one.subject,
                decided_words(decided)
            ));
        }
        words.join("; ")
    }

    /// Lets two hours pass for what is asked and lent.
    pub async fn let_asks_age(&self) {
        self.world
            .let_asks_age(Duration::from_secs(2 * 3_600))
            .await;
    }
}
