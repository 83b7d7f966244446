//! What must hold whatever people do.

use std::collections::{BTreeMap, BTreeSet};

use neena_engine::approval::OnExpiry;
use neena_engine::run::{Vote, VoteKind};
use proptest::prelude::*;
use proptest::strategy::ValueTree;
use proptest::test_runner::TestRunner;

use crate::case::{Case, PEOPLE, Step, case, email};
use crate::engine::{Decided, verdict};
use crate::model::{Model, Verdict};

/// Cases per property: `PROPTEST_CASES`, else few enough for every edit.
fn cases() -> u32 {
    std::env::var("PROPTEST_CASES")
        .ok()
        .and_then(|cases| cases.parse().ok())
        .unwrap_or(2_000)
}

/// Lives the case in both, step by step; the verdicts they agree on.
fn live(case: &Case) -> Result<Vec<Verdict>, TestCaseError> {
    let (mut engine, mut model) = (Decided::new(case, None), Model::new(case));
    let mut verdicts = Vec::new();
    for (at, step) in case.steps.iter().enumerate() {
        let before = engine.outcome();
        let (decided, expected) = (engine.step(step), model.step(step));
        let after = engine.outcome();
        let (Some(decided), Some(expected)) = (decided, expected) else {
            continue;
        };
        let found = verdict(before, after, &decided);
        prop_assert_eq!(
            found,
            expected,
            "step {}: {:?} gave {:?}",
            at,
            step,
            decided
        );
        prop_assert!(before.is_none() || after == before, "step {} undid it", at);
        verdicts.push(found);
        nobody_counts_who_must_not(case, &engine.facts.votes)?;
    }
    // What was not approved by time was approved by as many as each stage asks for.
    if engine.outcome() == Some(true) && case.policy.on_expiry != OnExpiry::Approve {
        prop_assert_eq!(model.asked(), case.policy.stages.len());
    }
    Ok(verdicts)
}

/// Everybody an approval is of: who cast it, and in whose place.
fn of(vote: &Vote) -> BTreeSet<usize> {
    let known = |of: &str| (0..PEOPLE).find(|who| email(*who).eq_ignore_ascii_case(of));
    let who = vote.approver.0.as_u128() as usize;
    let place = vote.stands_in_for.as_deref().and_then(known);
    [who].into_iter().chain(place).collect()
}

fn nobody_counts_who_must_not(case: &Case, votes: &[Vote]) -> Result<(), TestCaseError> {
    let approvals = votes.iter().filter(|vote| vote.kind == VoteKind::Approve);
    let mut stages: BTreeMap<usize, u32> = BTreeMap::new();
    for vote in approvals {
        for who in of(vote) {
            let requester = case.policy.distinct_from_requester && who == case.requester;
            let author = case.policy.distinct_from_author && Some(who) == case.author;
            prop_assert!(!requester && !author, "{} counts: {:?}", who, vote);
            let stage = stages.entry(who).or_insert(vote.stage);
            let elsewhere = case.policy.distinct_approvers && *stage != vote.stage;
            prop_assert!(!elsewhere, "{} counts twice: {:?}", who, votes);
        }
    }
    Ok(())
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(cases()))]

    #[test]
    fn the_engine_decides_as_the_model_does(case in case()) {
        live(&case)?;
    }

    #[test]
    fn the_way_in_plays_no_part(case in case()) {
        let (mut by_any, mut by_one) = (Decided::new(&case, None), Decided::new(&case, Some("rest")));
        for step in &case.steps {
            prop_assert_eq!(by_any.step(step), by_one.step(step));
        }
    }

    #[test]
    fn what_is_decided_stays_decided(case in case(), again in case()) {
        let mut engine = Decided::new(&case, None);
        let decided = case.steps.iter().position(|step| {
            engine.step(step);
            engine.outcome().is_some()
        });
        if decided.is_none() {
            return Ok(());
        }
        let (outcome, votes) = (engine.outcome(), engine.facts.votes.clone());
        // Whatever was to come, and whatever else may.
        for step in case.steps.iter().chain(&again.steps) {
            let change = engine.step(step);
            let cancelled = matches!(step, Step::Cancel(_));
            prop_assert!(cancelled || !matches!(change, Some(Ok(_))), "{:?}: {:?}", step, change);
            prop_assert_eq!(engine.outcome(), outcome);
            prop_assert_eq!(&engine.facts.votes, &votes);
        }
    }
}

/// Agreement is worth something only where there is something to agree on.
#[test]
fn every_verdict_is_met() {
    let mut runner = TestRunner::deterministic();
    let mut met: BTreeMap<Verdict, u32> = BTreeMap::new();
    for _ in 0..1_000 {
        let case = case().new_tree(&mut runner).unwrap().current();
        for verdict in live(&case).unwrap() {
            *met.entry(verdict).or_default() += 1;
        }
    }
    let least = [
        (Verdict::Counted, 300),
        (Verdict::Approved, 200),
        (Verdict::Rejected, 100),
        (Verdict::Reminded, 50),
        (Verdict::Escalated, 25),
        (Verdict::Cancelled, 100),
        (Verdict::AlreadySo, 300),
        (Verdict::Denied, 300),
        (Verdict::Late, 100),
        (Verdict::NoReason, 30),
        (Verdict::Conflict, 300),
        (Verdict::NotDue, 300),
    ];
    for (verdict, least) in least {
        let times = met.get(&verdict).copied().unwrap_or_default();
        assert!(times >= least, "{verdict:?} is met {times} times: {met:?}");
    }
}
