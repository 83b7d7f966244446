//! A case for each thing that people are told, so that no kind of answer is left to chance.

use proptest::sample::Index;
use proptest::strategy::{Strategy, ValueTree};
use proptest::test_runner::TestRunner;
use serde_json::{Value, json};

use super::case::{Case, Step, Word, email, stage_name};

/// By turns, where each comes by a way of its own.
fn turn() -> Index {
    let mut runner = TestRunner::deterministic();
    let index = proptest::arbitrary::any::<Index>();
    index.new_tree(&mut runner).unwrap().current()
}

/// Somebody approves with a reason, for the stage that is asked.
pub fn approves(who: usize) -> Word {
    Word {
        approves: true,
        who,
        stage: None,
        reason: true,
        stale: false,
        way: turn(),
    }
}

pub fn rejects(who: usize) -> Word {
    Word {
        approves: false,
        ..approves(who)
    }
}

/// Who may approve, by stage.
pub fn stages(approvers: &[&[usize]]) -> Value {
    let stages = approvers.iter().enumerate().map(|(at, approvers)| {
        let approvers: Vec<String> = approvers.iter().map(|who| email(*who)).collect();
        json!({"name": stage_name(at), "count": 1, "approvers": approvers})
    });
    json!({"stages": stages.collect::<Vec<Value>>(), "standing": false})
}

/// `policy`, and `and` in it as well.
fn with(mut policy: Value, and: Value) -> Value {
    let more = and.as_object().unwrap().clone();
    policy.as_object_mut().unwrap().extend(more);
    policy
}

/// In the world where everybody may approve and nobody stands in for anybody; 0 asks for what 1 wrote.
fn said(policy: Value, words: impl IntoIterator<Item = Word>) -> Case {
    Case {
        world: 0,
        policy,
        gate: false,
        requester: 0,
        author: 1,
        steps: words.into_iter().map(Step::Say).collect(),
    }
}

fn at_a_gate(case: Case) -> Case {
    Case { gate: true, ..case }
}

/// After its time.
fn late(mut case: Case) -> Case {
    case.steps.insert(0, Step::Over);
    case
}

pub fn known() -> Vec<Case> {
    let by_two = || stages(&[&[2]]);
    let beforehand = |policy| with(policy, json!({"standing": true}));
    let closing = || {
        with(
            by_two(),
            json!({"expires_in_seconds": 3600, "on_expiry": "reject"}),
        )
    };
    // 0 asks, too.
    let own = || with(stages(&[&[0]]), json!({"distinct_from_requester": false}));
    let unexplained = || Word {
        reason: false,
        ..approves(0)
    };
    let stale = Word {
        stale: true,
        ..approves(2)
    };
    let for_stage = |stage| Word {
        stage: Some(stage),
        ..approves(2)
    };
    let without_permission = Case {
        world: 1,
        ..said(stages(&[&[5]]), [approves(5)])
    };
    vec![
        said(beforehand(by_two()), [approves(2), approves(3)]),
        said(beforehand(by_two()), [approves(3), rejects(3)]),
        at_a_gate(said(by_two(), [approves(2), approves(3)])),
        said(by_two(), [rejects(2), approves(2)]),
        at_a_gate(said(by_two(), [rejects(2), approves(2)])),
        without_permission,
        said(own(), [unexplained()]),
        said(stages(&[&[0]]), [unexplained()]),
        said(
            with(stages(&[&[1]]), json!({"distinct_from_author": true})),
            [approves(1)],
        ),
        said(
            with(stages(&[&[2], &[2]]), json!({"distinct_approvers": true})),
            [approves(2), approves(2)],
        ),
        said(stages(&[&[3], &[2]]), [for_stage(1)]),
        said(stages(&[&[3], &[2]]), [approves(3), for_stage(0)]),
        late(said(closing(), [approves(2)])),
        late(at_a_gate(said(closing(), [approves(2)]))),
        said(by_two(), [stale]),
        said(
            with(own(), json!({"reason_required": true})),
            [unexplained()],
        ),
    ]
}
