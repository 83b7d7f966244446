//! What must hold in every run.

use neena_engine::flow::OnFailure;
use neena_engine::run::RunStatus;
use proptest::prelude::*;

use crate::graph::{Case, Mood, case};
use crate::world::{End, Weather, World};

const CALM: Weather = Weather {
    crash: 0,
    cancel: 0,
    hand_back: 0,
    pause: 0,
    rounds: 0,
    limit_ms: None,
    early_answers: false,
};

/// Cases per property: `PROPTEST_CASES`, else few enough for every edit.
fn cases() -> u32 {
    std::env::var("PROPTEST_CASES")
        .ok()
        .and_then(|cases| cases.parse().ok())
        .unwrap_or(96)
}

fn live(case: &Case, weather: Weather) -> Result<End, TestCaseError> {
    World::new(case, weather)
        .live()
        .map_err(TestCaseError::fail)
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(cases()))]

    #[test]
    fn every_run_ends_and_keeps_its_rules(case in case(200, Mood::Faulty)) {
        live(&case, CALM)?;
    }

    #[test]
    fn a_run_that_crashes_anywhere_still_ends_and_keeps_its_rules(
        case in case(60, Mood::Faulty),
        crash in 1u64..15,
        hand_back in 0u64..5,
    ) {
        live(&case, Weather { crash, hand_back, ..CALM })?;
    }

    #[test]
    fn a_cancel_at_any_point_ends_the_run_as_cancelled_or_comes_too_late(
        case in case(60, Mood::Faulty),
        crash in 0u64..5,
        hand_back in 0u64..5,
    ) {
        live(&case, Weather { crash, hand_back, cancel: 2, ..CALM })?;
    }

    #[test]
    fn pauses_time_limits_and_retry_rounds_keep_the_rules(
        case in case(60, Mood::Faulty),
        crash in 0u64..5,
        pause in 0u64..10,
        rounds in 0u32..4,
        limit_ms in prop::option::of(0i64..70_000),
    ) {
        live(&case, Weather { crash, pause, cancel: 1, rounds, limit_ms, ..CALM })?;
    }

    #[test]
    fn a_retry_round_completes_what_can_be_completed(
        case in case(60, Mood::Healthy),
        cancel in 1u64..5,
    ) {
        let end = live(&case, Weather { cancel, rounds: 1_000, ..CALM })?;
        prop_assert_eq!(end, live(&case, CALM)?);
    }

    #[test]
    fn a_resumed_run_ends_like_one_that_never_crashed(
        case in case(200, Mood::Healthy),
        crash in 1u64..10,
        hand_back in 0u64..5,
    ) {
        let calm = live(&case, CALM)?;
        prop_assert_eq!(calm.status, RunStatus::Completed);
        prop_assert_eq!(live(&case, Weather { crash, hand_back, ..CALM })?, calm);
    }

    #[test]
    fn failures_of_a_run_that_continues_do_not_depend_on_crashes(
        mut case in case(60, Mood::Faulty),
        crash in 1u64..10,
    ) {
        case.on_failure = OnFailure::Continue;
        // A lost attempt of a task that must not run twice is a failure of its own.
        case.nodes.iter_mut().for_each(|node| node.repeatable = true);
        prop_assert_eq!(live(&case, Weather { crash, ..CALM })?, live(&case, CALM)?);
    }
}

/// The simulation is worth something only if it fails when the engine is told a lie.
#[test]
fn an_answer_that_comes_before_its_commit_is_caught() {
    let mut runner = proptest::test_runner::TestRunner::deterministic();
    let caught = (0..64)
        .filter(|_| {
            let tree = case(60, Mood::Healthy).new_tree(&mut runner).unwrap();
            let case = proptest::strategy::ValueTree::current(&tree);
            World::new(
                &case,
                Weather {
                    early_answers: true,
                    ..CALM
                },
            )
            .live()
            .is_err()
        })
        .count();
    assert!(caught > 32, "only {caught} of 64 runs noticed");
}
