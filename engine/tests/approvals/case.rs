//! Random policies, people, and what they do.

use neena_engine::approval::{Audience, Mode, OnExpiry, Policy, Stage};
use proptest::prelude::*;
use proptest::sample::subsequence;

/// People are numbers below this.
pub const PEOPLE: usize = 6;
const GROUPS: [&str; 2] = ["a", "b"];

#[derive(Clone, Debug)]
pub struct Person {
    pub approves: bool,
    pub deploys: bool,
    pub groups: Vec<&'static str>,
    /// Whom they stand in for.
    pub stands_in_for: Vec<usize>,
}

#[derive(Clone, Debug)]
pub struct Case {
    pub policy: Policy,
    pub people: Vec<Person>,
    pub requester: usize,
    pub author: Option<usize>,
    /// A gate inside a run; else its plan.
    pub gate: bool,
    pub steps: Vec<Step>,
}

#[derive(Clone, Debug)]
pub enum Step {
    Approve(Word),
    Reject(Word),
    /// Whoever looks after expiries comes by.
    Lapse,
    Cancel(usize),
    /// So many seconds pass.
    Wait(u64),
}

#[derive(Clone, Debug)]
pub struct Word {
    pub who: usize,
    /// The stage they name, which may not be there.
    pub stage: Option<usize>,
    pub reason: bool,
    pub way: &'static str,
}

/// The e-mail of somebody, as they write it and as policies have it.
pub fn email(who: usize) -> String {
    match who % 2 {
        0 => format!("p{who}@example.com"),
        _ => format!("P{who}@Example.com"),
    }
}

pub fn stage_name(at: usize) -> String {
    format!("stage {at}")
}

fn audience(most: usize) -> impl Strategy<Value = Audience> {
    let mut words = vec![
        "group:a".to_owned(),
        "group:b".to_owned(),
        "permission:deploy".to_owned(),
    ];
    words.extend((0..PEOPLE).map(email));
    subsequence(words, 0..most).prop_map(|words| Audience::parse(&words).unwrap())
}

fn policy() -> impl Strategy<Value = Policy> {
    let stage = (
        prop_oneof![3 => Just(1u32), 1 => Just(2), 1 => Just(3)],
        audience(5),
    );
    let on_expiry = prop_oneof![
        Just(OnExpiry::Reject),
        Just(OnExpiry::Escalate),
        Just(OnExpiry::Approve)
    ];
    (
        prop::collection::vec(stage, 1..4),
        any::<[bool; 3]>(),
        prop::bool::weighted(0.2),
        prop::option::weighted(0.7, 5u64..30),
        on_expiry,
        audience(3),
        prop::collection::vec(1u64..20, 0..3),
    )
        .prop_map(
            |(stages, distinct, reason_required, expires, on_expiry, escalate_to, reminders)| {
                let stages = stages.into_iter().enumerate();
                Policy {
                    mode: Mode::Required,
                    stages: stages
                        .map(|(at, (count, approvers))| Stage {
                            name: stage_name(at),
                            count,
                            approvers,
                        })
                        .collect(),
                    distinct_from_requester: distinct[0],
                    distinct_from_author: distinct[1],
                    distinct_approvers: distinct[2],
                    reason_required,
                    expires_in_ms: expires.map(|seconds| seconds * 1_000),
                    on_expiry,
                    escalate_to,
                    remind_before_ms: reminders.iter().map(|before| before * 1_000).collect(),
                    standing: false,
                }
            },
        )
}

fn people() -> impl Strategy<Value = Vec<Person>> {
    let person = (
        prop::bool::weighted(0.9),
        prop::bool::weighted(0.3),
        subsequence(GROUPS.to_vec(), 0..=2),
        subsequence((0..PEOPLE).collect::<Vec<_>>(), 0..3).prop_shuffle(),
    )
        .prop_map(|(approves, deploys, groups, stands_in_for)| Person {
            approves,
            deploys,
            groups,
            stands_in_for,
        });
    prop::collection::vec(person, PEOPLE)
}

fn step() -> impl Strategy<Value = Step> {
    let word = (
        0..PEOPLE,
        prop_oneof![4 => Just(None), 1 => (0usize..4).prop_map(Some)],
        prop::bool::weighted(0.8),
        prop_oneof![Just("rest"), Just("cli"), Just("link"), Just("mail")],
    )
        .prop_map(|(who, stage, reason, way)| Word {
            who,
            stage,
            reason,
            way,
        });
    prop_oneof![
        30 => word.clone().prop_map(Step::Approve),
        1 => word.prop_map(Step::Reject),
        12 => Just(Step::Lapse),
        1 => (0..PEOPLE).prop_map(Step::Cancel),
        8 => (0u64..8).prop_map(Step::Wait),
    ]
}

pub fn case() -> impl Strategy<Value = Case> {
    (
        policy(),
        people(),
        0..PEOPLE,
        prop::option::of(0..PEOPLE),
        any::<bool>(),
        prop::collection::vec(step(), 1..40),
    )
        .prop_map(|(policy, mut people, requester, author, gate, steps)| {
            for (who, person) in people.iter_mut().enumerate() {
                person.stands_in_for.retain(|principal| *principal != who);
            }
            Case {
                policy,
                people,
                requester,
                author,
                gate,
                steps,
            }
        })
}
