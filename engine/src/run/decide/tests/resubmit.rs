//! Asking again after the code behind a plan has moved on.

use rstest::rstest;

use super::*;
use crate::approval::Mode;
use crate::flow::OnFailure;
use crate::plan::{Graph, GraphBody, Head, Metadata, PLAN_V, Plan, RequestCopy};

fn plan(instructions: &str, mode: Mode) -> Arc<Plan> {
    let body = GraphBody {
        v: PLAN_V,
        operations: Vec::new(),
        edges: Vec::new(),
        on_failure: OnFailure::Stop,
        timeout_ms: None,
    };
    let head = Head {
        v: PLAN_V,
        organization: Uuid::nil(),
        flow: Uuid::nil(),
        flow_name: "flow".to_owned(),
        flow_version: 1,
        graph: hash("graph"),
        request: RequestCopy {
            instructions: instructions.to_owned(),
            name: None,
            metadata: Metadata::default(),
        },
        triggered_by: "9@example.com".to_owned(),
        requester: None,
        author: None,
        policy: Policy {
            mode,
            ..Policy::quorum(1)
        },
    };
    Arc::new(Plan::make(Arc::new(Graph::new(&body).unwrap()), head).unwrap())
}

fn resubmit(facts: &Facts, mode: Mode) -> Result<Change, Refused> {
    let decision = Decision::Resubmit {
        plan: plan("new", mode),
        from: hash("plan"),
        why: "no worker hosts it any more".to_owned(),
    };
    decide(facts, &decision, NOW)
}

#[rstest]
#[case(Phase::Waiting)]
#[case(Phase::Parked)]
fn a_run_waits_for_approval_of_its_new_plan(#[case] phase: Phase) {
    let mut facts = in_phase(phase);
    facts.timeout = Some(Duration::from_secs(1));
    let new = plan("new", Mode::Required);
    let change = resubmit(&facts, Mode::Required).unwrap();
    let live = change.live.clone().unwrap();
    assert_eq!((live.phase, live.plan_hash), (Phase::Waiting, new.hash));
    assert_eq!((live.approved_hash, live.wake_at), (None, None));
    assert_eq!(live.epoch, facts.live.as_ref().unwrap().epoch);
    assert_eq!(change.run.status, RunStatus::Pending);
    assert_eq!(change.run.approval_status, None);
    assert_eq!(change.run.approved_hash, None);
    assert_eq!(change.run.plan_hash, new.hash);
    assert_eq!(change.ask, AskChange::Anew);
    assert!(change.events.is_empty() && change.touches_run(&facts));
    assert!(change.note.result.contains("no worker hosts it any more"));
    assert!(change.note.result.contains(&new.hash.to_string()));
}

#[test]
fn where_nobody_is_asked_the_run_goes_on_with_the_new_plan() {
    let change = resubmit(&in_phase(Phase::Parked), Mode::None).unwrap();
    let (live, new) = (change.live.unwrap(), plan("new", Mode::None));
    assert_eq!((live.phase, live.plan_hash), (Phase::Ready, new.hash));
    assert_eq!(live.approved_hash, Some(new.hash));
    assert_eq!(change.events, ["flow_run.resumed"]);
}

#[rstest]
#[case(Phase::Ready)]
#[case(Phase::Running)]
#[case(Phase::Paused)]
#[case(Phase::Closing)]
fn a_run_that_a_worker_has_or_may_take_keeps_its_plan(#[case] phase: Phase) {
    let refused = resubmit(&in_phase(phase), Mode::Required).unwrap_err();
    assert!(matches!(refused, Refused::Conflict(_)), "{refused}");
}

#[test]
fn an_ended_run_keeps_its_plan() {
    let refused = resubmit(&ended(RunStatus::Failed), Mode::Required).unwrap_err();
    assert!(matches!(refused, Refused::Conflict(_)), "{refused}");
}

#[test]
fn of_two_that_found_the_code_gone_the_first_gives_the_plan() {
    let mut facts = in_phase(Phase::Waiting);
    facts.run.plan_hash = hash("given meanwhile");
    let refused = resubmit(&facts, Mode::Required).unwrap_err();
    assert_eq!(refused, Refused::StalePlan);
}

/// A worker had it, so a worker cleans up after it.
#[test]
fn a_run_that_had_begun_is_cleaned_up_when_its_new_plan_is_rejected() {
    let change = decide(&in_phase(Phase::Waiting), &reject(1), NOW).unwrap();
    assert!(change.live.is_none(), "it never began");
    let mut facts = in_phase(Phase::Waiting);
    facts.live.as_mut().unwrap().epoch = 3;
    let change = decide(&facts, &reject(1), NOW).unwrap();
    assert_eq!(change.live.unwrap().phase, Phase::Closing);
    assert_eq!(change.run.approval_status, Some(ApprovalStatus::Rejected));
    assert_eq!(change.run.status, RunStatus::Cancelled);
    assert!(change.body.is_none());
    assert_eq!(
        change.events,
        ["flow_run.rejected", "flow_run.cancel_requested"]
    );
}
