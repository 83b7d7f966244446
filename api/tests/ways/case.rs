//! Random policies, people, and what they do one after the other.

use proptest::prelude::*;
use proptest::sample::{Index, subsequence};
use serde_json::{Value, json};

/// People are numbers below this.
pub const PEOPLE: usize = 6;

/// Who people are to each other; each stands in an organization of its own.
pub struct World {
    /// Members of the groups `a` and `b`.
    pub groups: [&'static [usize]; 2],
    /// Whose tokens grant `approve`, and whose `deploy`.
    pub approve: &'static [usize],
    pub deploy: &'static [usize],
    /// Who lent their place to whom.
    pub lent: &'static [(usize, usize)],
}

pub const WORLDS: [World; 4] = [
    World {
        groups: [&[0, 1, 2], &[2, 3]],
        approve: &[0, 1, 2, 3, 4, 5],
        deploy: &[1, 4],
        lent: &[],
    },
    World {
        groups: [&[1, 3, 5], &[0]],
        approve: &[0, 1, 2, 3, 4],
        deploy: &[0],
        lent: &[(0, 4), (1, 2), (3, 4)],
    },
    World {
        groups: [&[4], &[4, 5, 1]],
        approve: &[0, 2, 3, 4, 5],
        deploy: &[2, 5],
        lent: &[(4, 0), (0, 4), (5, 3), (1, 3), (2, 0)],
    },
    World {
        groups: [&[0, 1, 2, 3, 4, 5], &[3, 4]],
        approve: &[1, 2, 3, 4, 5],
        deploy: &[],
        lent: &[(3, 5), (4, 5), (2, 1)],
    },
];

#[derive(Clone, Debug)]
pub struct Case {
    pub world: usize,
    /// As a flow gives it.
    pub policy: Value,
    /// A gate inside a run; else its plan.
    pub gate: bool,
    pub requester: usize,
    pub author: usize,
    pub steps: Vec<Step>,
}

#[derive(Clone, Debug)]
pub enum Step {
    Say(Word),
    /// The time of what is asked is over.
    Over,
    /// Whoever looks after expiries comes by.
    Look,
}

#[derive(Clone, Debug)]
pub struct Word {
    pub approves: bool,
    pub who: usize,
    /// The stage they speak for; none: the one that is asked.
    pub stage: Option<usize>,
    pub reason: bool,
    /// Whether they saw another plan.
    pub stale: bool,
    /// By which way, where each comes by one of its own.
    pub way: Index,
}

impl Case {
    pub fn world(&self) -> &'static World {
        &WORLDS[self.world]
    }
}

/// The e-mail of somebody, as their token has it.
pub fn email(who: usize) -> String {
    match who % 2 {
        0 => format!("p{who}@example.com"),
        _ => format!("P{who}@Example.com"),
    }
}

pub fn stage_name(at: usize) -> String {
    format!("stage {at}")
}

fn people(most: usize) -> impl Strategy<Value = Vec<String>> {
    let mut words = vec![
        "group:a".to_owned(),
        "group:b".to_owned(),
        "permission:deploy".to_owned(),
    ];
    words.extend((0..PEOPLE).map(email));
    subsequence(words, 0..most)
}

fn stage() -> impl Strategy<Value = (usize, Vec<String>)> {
    (
        prop_oneof![3 => Just(1), 2 => Just(2), 1 => Just(3)],
        people(5),
    )
        .prop_map(|(count, people)| {
            // More than are named cannot be asked for.
            let named = people.iter().all(|word| word.contains('@')) && !people.is_empty();
            let most = if named { people.len() } else { usize::MAX };
            (count.min(most), people)
        })
}

/// A policy, and how many stages it has.
fn policy() -> impl Strategy<Value = (Value, usize)> {
    let expiry = prop_oneof![
        3 => Just(json!({})),
        1 => Just(json!({"expires_in_seconds": 3600, "on_expiry": "reject"})),
        1 => Just(json!({"expires_in_seconds": 3600, "on_expiry": "approve"})),
        1 => people(3).prop_map(|mut others| {
            others.push("p0@example.com".to_owned());
            json!({"expires_in_seconds": 3600, "on_expiry": "escalate", "escalate_to": others})
        }),
    ];
    (
        prop::collection::vec(stage(), 1..4),
        any::<[bool; 3]>(),
        prop::bool::weighted(0.2),
        expiry,
    )
        .prop_map(|(stages, distinct, reason, mut policy)| {
            let named = stages.iter().enumerate().map(|(at, (count, people))| {
                json!({"name": stage_name(at), "count": count, "approvers": people})
            });
            policy["stages"] = named.collect();
            policy["distinct_from_requester"] = json!(distinct[0]);
            policy["distinct_from_author"] = json!(distinct[1]);
            policy["distinct_approvers"] = json!(distinct[2]);
            policy["reason_required"] = json!(reason);
            (policy, stages.len())
        })
}

fn step(stages: usize) -> impl Strategy<Value = Step> {
    let word = (
        prop::bool::weighted(0.95),
        0..PEOPLE,
        prop::option::weighted(0.15, 0..stages),
        prop::bool::weighted(0.8),
        prop::bool::weighted(0.03),
        any::<Index>(),
    )
        .prop_map(|(approves, who, stage, reason, stale, way)| Word {
            approves,
            who,
            stage,
            reason,
            stale,
            way,
        });
    prop_oneof![20 => word.prop_map(Step::Say), 1 => Just(Step::Over), 1 => Just(Step::Look)]
}

pub fn case() -> impl Strategy<Value = Case> {
    policy().prop_flat_map(|(policy, stages)| {
        (
            0..WORLDS.len(),
            prop::bool::weighted(0.25),
            0..PEOPLE,
            0..PEOPLE,
            prop::collection::vec(step(stages), 1..8),
        )
            .prop_map(move |(world, gate, requester, author, steps)| {
                let mut policy = policy.clone();
                // What may be approved beforehand is a plan.
                policy["standing"] = json!(!gate && author % 2 == 0);
                Case {
                    world,
                    policy,

                    gate,
                    requester,
                    author,
                    steps,
                }
            })
    })
}
