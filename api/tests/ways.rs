//! The outcome never depends on the way in: whatever people say about a run, it ends the same by the API, the command
//! line, links, and all of them in turn; approved along with being made; and approved beforehand.

mod case;
mod inbox;
mod known;
mod scene;
mod town;

use std::cell::RefCell;
use std::collections::BTreeMap;

use proptest::prelude::*;
use proptest::test_runner::TestRunner;
use serde_json::{Value, json};
use uuid::Uuid;

use case::{Case, Step, case};
use scene::{Scene, Told, Way, told};
use town::Town;

/// Cases that share a database.
const TOGETHER: u32 = 500;

/// `PROPTEST_CASES`, else few enough for every edit.
fn cases() -> u32 {
    std::env::var("PROPTEST_CASES")
        .ok()
        .and_then(|cases| cases.parse().ok())
        .unwrap_or(40)
}

/// What people are told, up to a name in it.
const KINDS: [&str; 21] = [
    "200 ",
    "403 You are no approver of the stage ",
    "403 The permission ",
    "409 The flow run was already approved",
    "403 You cannot approve your own run",
    "403 You cannot approve a run of a flow you wrote",
    "403 You have approved in the stage ",
    "403 The stage ",
    "409 The flow run was already rejected",
    "409 The gate was already approved",
    "409 The gate was already rejected",
    "409 The stage ",
    "409 The time to decide about this flow run is over",
    "409 The time to decide about this gate is over",
    "412 The run's plan has another hash",
    "422 The policy asks for a reason",
    "made: 200",
    "made: 403",
    "made: 422",
    "beforehand: true",
    "beforehand: false",
];

/// How often somebody was told so.
type Met = BTreeMap<String, u32>;

/// Plays the case by every way there is.
async fn play(town: &Town, case: &Case, met: &mut Met) -> Result<(), TestCaseError> {
    let flow = town.flow(case.world, case.author, &case.policy, case.gate);
    let flow = flow.await;
    let mut plain = Scene::set(town, case, flow).await;
    let expected = plain.play(&case.steps, Way::Rest).await;
    let (outcome, ways) = plain.seen().await;
    prop_assert!(ways.iter().all(|way| way == "rest"), "{:?}", ways);
    for (status, why) in expected.iter().flatten() {
        let kind = why.split('`').next().unwrap_or_default();
        *met.entry(format!("{status} {kind}")).or_default() += 1;
    }
    for way in [Way::Cli, Way::Link, Way::Any] {
        let mut scene = Scene::set(town, case, flow).await;
        let answers = scene.play(&case.steps, way).await;
        prop_assert_eq!(&answers, &expected, "{:?}", way);
        let (seen, ways) = scene.seen().await;
        prop_assert_eq!(&seen, &outcome, "{:?}", way);
        let as_named = |word: &String| match way {
            Way::Cli => word == "cli",
            Way::Link => word == "link",
            Way::Rest | Way::Any => true,
        };
        prop_assert!(ways.iter().all(as_named), "{:?}: {:?}", way, ways);
    }
    if along_with_it(case) {
        let status = made_and_approved(town, case, flow, (&expected, &outcome)).await?;
        *met.entry(format!("made: {status}")).or_default() += 1;
    }
    if case.policy["standing"] == true {
        let started = beforehand(town, case, flow, &expected).await?;
        *met.entry(format!("beforehand: {started}")).or_default() += 1;
    }
    Ok(())
}

/// Whether the first word can be said along with asking for the run.
fn along_with_it(case: &Case) -> bool {
    let Some(Step::Say(first)) = case.steps.first() else {
        return false;
    };
    let plain =
        first.approves && !first.reason && !first.stale && first.stage.is_none_or(|at| at == 0);
    plain && !case.gate && first.who == case.requester
}

/// The same, with the first word said along with asking for the run.
async fn made_and_approved(
    town: &Town,
    case: &Case,
    flow: Uuid,
    (expected, outcome): (&[Option<Told>], &Value),
) -> Result<u16, TestCaseError> {
    let runs = "SELECT count(*) FROM flow_runs";
    let before = town.api.count(runs).await;
    let made = town.run(case.world, case.requester, flow, true).await;
    prop_assert_eq!(&Some(told(&made)), &expected[0], "made and approved");
    if made.status != 200 {
        prop_assert_eq!(town.api.count(runs).await, before);
        return Ok(made.status.as_u16());
    }
    let mut scene = Scene::of(town, case, made.id()).await;
    let answers = scene.play(&case.steps[1..], Way::Rest).await;
    prop_assert_eq!(
        &answers[..],
        &expected[1..],
        "after it was made and approved"
    );
    prop_assert_eq!(&scene.seen().await.0, outcome, "made and approved");
    Ok(200)
}

/// The first approvals, given to a standing approval. It is in force exactly if the run was approved by them, and
/// then starts another run of the same.
async fn beforehand(
    town: &Town,
    case: &Case,
    flow: Uuid,
    expected: &[Option<Told>],
) -> Result<bool, TestCaseError> {
    let wanted =
        json!({"flow": flow, "flow_version": 1, "bounds": {"type": "object"}, "max_runs": 1});
    let asked = town.call(
        case.world,
        case.requester,
        "POST",
        "/standing_approvals/",
        Some(wanted),
    );
    let id = asked.await.expect(200).id();
    let mut plain = Scene::set(town, case, flow).await;
    for (step, expected) in case.steps.iter().zip(expected) {
        let Step::Say(word) = step else { break };
        // A standing approval has no stage to name, and no veto.
        if !word.approves || word.stale || word.stage.is_some() {
            break;
        }
        let comment = if word.reason { "&comment=so+be+it" } else { "" };
        let path = format!("/standing_approvals/approve?id={id}{comment}");
        let answer = town.call(case.world, word.who, "PUT", &path, None).await;
        prop_assert_eq!(&Some(told(&answer)), expected, "beforehand");
        prop_assert_eq!(&plain.step(step, Way::Rest).await, expected);
        let open = plain.asked().await.is_some();
        if answer.status == 200 {
            let state = answer.body["state"].as_str().unwrap();
            prop_assert_eq!(state, if open { "open" } else { "active" });
        }
        if !open {
            let run = town.run(case.world, case.requester, flow, false).await;
            let run = run.expect(200).body;
            prop_assert_eq!(&run["approval_status"], "approved");
            prop_assert_eq!(&run["approved_by"], &json!({"standing_approval": id}));
            return Ok(true);
        }
    }
    Ok(false)
}

#[tokio::test]
async fn a_veto_by_the_link_of_another_stage_is_asked_for_its_reason() {
    let mut policy = known::stages(&[&[4], &[5]]);
    policy["reason_required"] = json!(true);
    let word = case::Word {
        stage: Some(1),
        reason: false,
        ..known::rejects(3)
    };
    let case = Case {
        world: 2,
        policy,
        gate: false,
        requester: 0,
        author: 1,
        steps: vec![Step::Say(word)],
    };
    let (town, mut met) = (Town::build().await, Met::new());
    play(&town, &case, &mut met).await.unwrap();
    assert!(
        met.contains_key("422 The policy asks for a reason: a comment is needed"),
        "{met:#?}"
    );
}

/// More cases: `PROPTEST_CASES=100000 cargo test --release --workspace --test main the_outcome_never`
#[test]
fn the_outcome_never_depends_on_the_way_in() {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .unwrap();
    let town = RefCell::new((0, None));
    let met = RefCell::new(Met::new());
    let mut runner = TestRunner::new(ProptestConfig {
        cases: cases(),
        source_file: Some(file!()),
        max_shrink_iters: 300,
        ..ProptestConfig::default()
    });
    let played = runner.run(&case(), |case| {
        let (town, mut met) = (&mut *town.borrow_mut(), met.borrow_mut());
        runtime.block_on(async {
            let (played, town) = town;
            if *played % TOGETHER == 0 {
                *town = None;
            }
            *played += 1;
            if town.is_none() {
                *town = Some(Town::build().await);
            }
            let town = town.as_ref().unwrap();
            play(town, &case, &mut met).await
        })
    });
    drop(runtime.block_on(async { town.take() }));
    played.unwrap_or_else(|error| panic!("{error}"));
    let met = met.into_inner();
    println!("{met:#?}");
    if cases() >= 2_000 {
        every_kind_is_in(&met);
    }
}

#[tokio::test]
async fn each_answer_there_is_is_the_same_by_every_way() {
    let (town, mut met) = (Town::build().await, Met::new());
    for case in known::known() {
        let played = play(&town, &case, &mut met).await;
        played.unwrap_or_else(|error| panic!("{error}: {case:#?}"));
    }
    every_kind_is_in(&met);
}

/// Agreement is worth something only where there is something to agree on.
fn every_kind_is_in(met: &Met) {
    for kind in KINDS {
        let found = met.keys().any(|met| met.starts_with(kind));
        assert!(found, "{kind} is not met: {met:#?}");
    }
}
