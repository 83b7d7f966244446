//! Questions put to people: stages, gates inside runs, time that decides, groups and places lent, and what the
//! decision log has of it.

use std::time::Duration;

use neena_engine::approval::{AskState, OnExpiry, Policy, Tell};
use neena_engine::run::{Decision, Refused, RunStatus, Say, TaskKey, Then};
use neena_store::Decided;

use crate::harness::{
    World, actor, approve, cancel, failed, finish, gate, kinds, on_every_store, people, reaching,
    retry, stages, then,
};

const HOUR: Duration = Duration::from_secs(3_600);

on_every_store! {
    stages_are_asked_one_after_the_other,
    a_gate_parks_its_run_and_its_answer_wakes_it,
    a_gate_is_answered_in_every_phase,
    a_rejected_gate_says_so_to_its_owner,
    a_vote_below_the_quorum_leaves_the_run_parked_and_why,
    a_vote_survives_an_expiry,
    time_reminds_escalates_and_ends,
    an_expiry_may_approve,
    a_retry_asks_again_at_the_gates_of_what_failed,
    a_cancel_withdraws_open_gates,
    a_gate_reached_after_the_cancel_is_not_asked,
    a_run_that_is_over_asks_nobody,
    a_gate_withdrawn_in_the_record_that_reached_it_is_not_asked,
    groups_and_lent_places_count,
    the_log_has_every_decision_and_refusal_once,
}

/// Approves the gate before task 1.
fn approve_gate(name: u128) -> Decision {
    Decision::Approve(say_gate(name))
}

fn say_gate(name: u128) -> Say {
    Say {
        on: gate(1),
        ..Say::of_run(actor(name), None)
    }
}

fn lasting(hours: u64, on_expiry: OnExpiry) -> Policy {
    Policy {
        expires_in_ms: Some(hours * 3_600_000),
        on_expiry,
        ..Policy::quorum(1)
    }
}

fn is_done(decided: &Decided) -> bool {
    matches!(decided, Decided::Done { .. })
}

async fn state(world: &World, run: neena_engine::ids::RunId) -> Vec<AskState> {
    let gates = world.store.gates(run).await.unwrap();
    gates.into_iter().map(|ask| ask.state).collect()
}

async fn stages_are_asked_one_after_the_other(world: World) {
    let policy = stages(&[("team", 2, ""), ("lead", 1, "9@example.com")]);
    let run = world.asking(policy, &[]).await;
    assert!(is_done(&world.decide(run, approve(1)).await));
    let early = world.decide(run, approve(1)).await;
    assert!(matches!(early, Decided::AlreadySo), "{early:?}");
    assert!(is_done(&world.decide(run, approve(2)).await));
    let denied = world.decide(run, approve(4)).await;
    assert!(matches!(denied, Decided::Refused(Refused::Denied(_))));
    assert_eq!(world.row(run).await.status, "pending");
    let Decided::Done { outbox, .. } = world.decide(run, approve(9)).await else {
        panic!("the last vote starts it");
    };
    assert_eq!(kinds(&outbox), ["flow_run.approved"]);
    let results: Vec<String> = world.log(run).await.into_iter().map(|of| of.4).collect();
    assert_eq!(results[0], "1 of 2 in stage team");
    assert_eq!(results[1], "2 of 2 in stage team; stage lead is asked");
    assert_eq!(results[3], "approved");
    assert_eq!(results.len(), 4);
}

async fn a_gate_parks_its_run_and_its_answer_wakes_it(world: World) {
    let policy = Policy::quorum(1);
    let held = world.gated(&policy).await;
    let park = Then::Park {
        wake_at: None,
        reason: Some("approval of `task 1`".into()),
    };
    assert!(world.record(&held, then(vec![], park)).await.applied);
    assert_eq!(state(&world, held.run).await, [AskState::Open]);
    let Decided::Done { live, outbox, poke } = world.decide(held.run, approve_gate(2)).await else {
        panic!("the gate is open");
    };
    assert_eq!(live.unwrap().phase.as_str(), "ready");
    assert_eq!((kinds(&outbox), poke), (vec!["flow_run.resumed"], None));
    assert_eq!(world.row(held.run).await.reason, None);
    let gates = world.store.gates(held.run).await.unwrap();
    assert_eq!(gates[0].state, AskState::Approved);
    assert!(
        gates[0]
            .reason
            .as_deref()
            .unwrap()
            .contains("2@example.com")
    );
    let again = world.decide(held.run, approve_gate(2)).await;
    assert!(matches!(again, Decided::AlreadySo));
    let other = world.decide(held.run, approve_gate(4)).await;
    assert!(matches!(other, Decided::Refused(Refused::Conflict(_))));
    assert!(world.take(held.run).await.is_some());
}

async fn a_gate_is_answered_in_every_phase(world: World) {
    // While it is held, and by whom.
    let policy = Policy::quorum(1);
    let held = world.gated(&policy).await;
    let Decided::Done { live, poke, .. } = world.decide(held.run, approve_gate(2)).await else {
        panic!("the gate is open");
    };
    let live = live.unwrap();
    assert_eq!(live.inbox_seq, held.inbox_seq + 1);
    assert_eq!(poke, live.owner);
    // A park that did not see the answer does not apply.
    let park = Then::Park {
        wake_at: None,
        reason: None,
    };
    assert!(!world.record(&held, then(vec![], park)).await.applied);
    // Given back and not yet taken again.
    let held = world.gated(&policy).await;
    world.record(&held, then(vec![], Then::Yield)).await;
    assert!(is_done(&world.decide(held.run, approve_gate(2)).await));
    // Before it was reached, and after the end.
    let run = world.asking(policy.clone(), &[(1, policy.clone())]).await;
    let early = world.decide(run, approve_gate(2)).await;
    assert!(
        matches!(early, Decided::Refused(Refused::Conflict(_))),
        "{early:?}"
    );
    world.decide(run, cancel(1)).await;
    let late = world.decide(run, approve_gate(2)).await;
    assert!(
        matches!(late, Decided::Refused(Refused::Conflict(_))),
        "{late:?}"
    );
    let nowhere = Decision::Approve(Say {
        on: gate(2),
        ..say_gate(2)
    });
    let nowhere = world.decide(held.run, nowhere).await;
    assert!(matches!(nowhere, Decided::Refused(Refused::NoGate)));
}

async fn a_rejected_gate_says_so_to_its_owner(world: World) {
    let held = world.gated(&Policy::quorum(2)).await;
    assert!(is_done(&world.decide(held.run, approve_gate(2)).await));
    let no = Decision::Reject(say_gate(4));
    assert!(is_done(&world.decide(held.run, no).await));
    let gates = world.store.gates(held.run).await.unwrap();
    assert_eq!(gates[0].state, AskState::Rejected);
    assert_eq!(world.row(held.run).await.status, "in_progress");
    let history = world.store.load(held.run).await.unwrap();
    assert_eq!(history.asks, gates);
}

async fn a_vote_below_the_quorum_leaves_the_run_parked_and_why(world: World) {
    let held = world.gated(&Policy::quorum(2)).await;
    let why = "approval of `task 1`";
    let park = Then::Park {
        wake_at: None,
        reason: Some(why.into()),
    };
    world.record(&held, then(vec![], park)).await;
    let Decided::Done { live, outbox, .. } = world.decide(held.run, approve_gate(2)).await else {
        panic!("the gate is open");
    };
    assert_eq!(live.unwrap().phase.as_str(), "parked");
    assert!(outbox.is_empty());
    assert_eq!(world.row(held.run).await.reason.as_deref(), Some(why));
}

async fn a_vote_survives_an_expiry(world: World) {
    let policy = Policy {
        escalate_to: people("9@example.com"),
        ..Policy {
            stages: stages(&[("team", 2, "1@example.com 2@example.com")]).stages,
            ..lasting(1, OnExpiry::Escalate)
        }
    };
    let run = world.asking(policy, &[]).await;
    assert!(is_done(&world.decide(run, approve(1)).await));
    world.let_asks_age(2 * HOUR).await;
    let late = world.decide(run, approve(2)).await;
    assert!(
        matches!(late, Decided::Refused(Refused::Late(_))),
        "{late:?}"
    );
    assert_eq!(world.lapse().await, 1);
    // The vote of before counts together with that of whom it was escalated to.
    let Decided::Done { outbox, .. } = world.decide(run, approve(9)).await else {
        panic!("the escalation is answered");
    };
    assert_eq!(kinds(&outbox), ["flow_run.approved"]);
}

async fn time_reminds_escalates_and_ends(world: World) {
    let policy = Policy {
        escalate_to: people("9@example.com"),
        remind_before_ms: vec![1_800_000],
        stages: stages(&[("team", 1, "1@example.com")]).stages,
        ..lasting(2, OnExpiry::Escalate)
    };
    let run = world.asking(policy, &[]).await;
    assert_eq!(world.lapse().await, 0);
    world.let_asks_age(Duration::from_secs(95 * 60)).await;
    assert_eq!((world.lapse().await, world.lapse().await), (1, 0));
    world.let_asks_age(HOUR).await;
    assert_eq!((world.lapse().await, world.lapse().await), (1, 0));
    if let Some(store) = world.memory() {
        let ask = store
            .ask(run, neena_engine::approval::Subject::Run)
            .unwrap();
        assert_eq!((ask.escalated, ask.tell), (true, Some(Tell::Escalated)));
    }
    world.let_asks_age(3 * HOUR).await;
    assert_eq!((world.lapse().await, world.lapse().await), (1, 0));
    let row = world.row(run).await;
    assert_eq!(row.status, "cancelled");
    assert_eq!(row.approval_status.as_deref(), Some("rejected"));
    let what: Vec<String> = world.log(run).await.into_iter().map(|of| of.0).collect();
    assert_eq!(what, ["remind", "escalate", "expire"]);
}

async fn an_expiry_may_approve(world: World) {
    let run = world.asking(lasting(1, OnExpiry::Approve), &[]).await;
    let held = world.gated(&lasting(1, OnExpiry::Reject)).await;
    world.let_asks_age(2 * HOUR).await;
    assert_eq!(world.lapse().await, 2);
    assert_eq!(world.row(run).await.status, "in_progress");
    assert_eq!(world.outbox(run).await, ["flow_run.approved"]);
    assert_eq!(state(&world, held.run).await, [AskState::Expired]);
    let late = world.decide(held.run, approve_gate(2)).await;
    assert!(matches!(late, Decided::Refused(Refused::Late(_))));
}

async fn a_retry_asks_again_at_the_gates_of_what_failed(world: World) {
    let held = world.gated(&Policy::quorum(1)).await;
    let run = held.run;
    world.decide(run, Decision::Reject(say_gate(2))).await;
    let seen = held.inbox_seq + 1;
    let end = then(vec![failed(run, 1)], finish(RunStatus::Failed));
    assert!(world.record_seen(&held, seen, end).await.applied);
    assert_eq!(state(&world, run).await, [AskState::Rejected]);
    assert!(is_done(&world.decide(run, retry(1)).await));
    assert!(state(&world, run).await.is_empty());
    let held = world.take(run).await.unwrap();
    let record = reaching(&[(1, &Policy::quorum(1))], world.now().await, Then::Hold);
    world.record(&held, record).await;
    // The one who said no may say yes now.
    assert!(is_done(&world.decide(run, approve_gate(2)).await));
    assert_eq!(state(&world, run).await, [AskState::Approved]);
}

async fn a_cancel_withdraws_open_gates(world: World) {
    let policy = Policy::quorum(1);
    let held = world.gated(&policy).await;
    assert!(is_done(&world.decide(held.run, cancel(1)).await));
    assert!(state(&world, held.run).await.is_empty());
}

async fn a_gate_reached_after_the_cancel_is_not_asked(world: World) {
    let policy = Policy::quorum(1);
    let run = world.asking(policy.clone(), &[(1, policy.clone())]).await;
    world.decide(run, approve(1)).await;
    let held = world.take(run).await.unwrap();
    world.decide(run, cancel(1)).await;
    let record = reaching(&[(1, &policy)], world.now().await, Then::Hold);
    assert!(world.record(&held, record).await.held);
    assert!(state(&world, run).await.is_empty());
}

async fn a_run_that_is_over_asks_nobody(world: World) {
    let held = world.gated(&lasting(1, OnExpiry::Reject)).await;
    let end = then(vec![], finish(RunStatus::Failed));
    assert!(world.record(&held, end).await.applied);
    assert!(state(&world, held.run).await.is_empty());
    world.let_asks_age(2 * HOUR).await;
    assert!(world.store.lapsed(9).await.unwrap().is_empty());
}

async fn a_gate_withdrawn_in_the_record_that_reached_it_is_not_asked(world: World) {
    let policy = Policy::quorum(1);
    let run = world.asking(policy.clone(), &[(1, policy.clone())]).await;
    world.decide(run, approve(1)).await;
    let held = world.take(run).await.unwrap();
    let mut record = reaching(&[(1, &policy)], world.now().await, Then::Hold);
    record.withdrawn.push(TaskKey {
        index: 1,
        item: None,
    });
    world.record(&held, record).await;
    assert!(state(&world, run).await.is_empty());
}

async fn groups_and_lent_places_count(world: World) {
    world
        .group("team", &["1@Example.com", "2@example.com"])
        .await;
    let policy = Policy {
        distinct_from_requester: true,
        ..stages(&[("team", 2, "group:team")])
    };
    let run = world.asking(policy, &[]).await;
    let outside = world.decide(run, approve(4)).await;
    assert!(matches!(outside, Decided::Refused(Refused::Denied(_))));
    world.lend("2@example.com", "4@example.com").await;
    assert!(is_done(&world.decide(run, approve(4)).await));
    // Their place is taken: it counts once.
    assert!(is_done(&world.decide(run, approve(2)).await));
    assert_eq!(world.row(run).await.status, "pending");
    // Places go back, and members leave.
    world.let_asks_age(4 * HOUR).await;
    world.group("team", &["5@example.com"]).await;
    for name in [1, 4, 3] {
        let gone = world.decide(run, approve(name)).await;
        assert!(
            matches!(
                gone,
                Decided::Refused(Refused::Denied(_)) | Decided::AlreadySo
            ),
            "{name}: {gone:?}"
        );
    }
    assert!(is_done(&world.decide(run, approve(5)).await));
    let log = world.log(run).await;
    let lent = log.iter().find(|entry| entry.2.is_some()).unwrap();
    assert_eq!(lent.2.as_deref(), Some("2@example.com"));
}

async fn the_log_has_every_decision_and_refusal_once(world: World) {
    let policy = Policy {
        reason_required: true,
        distinct_from_requester: true,
        ..Policy::quorum(2)
    };
    let run = world.asking(policy, &[]).await;
    // Noted.
    assert!(is_done(&world.decide(run, approve(1)).await));
    world.decide(run, approve(3)).await;
    // Not noted: nobody learns anything from it.
    world.decide(run, approve(1)).await;
    let silent = world
        .decide_plainly(run, Decision::Approve(Say::of_run(actor(2), None)))
        .await;
    assert!(matches!(silent, Decided::Refused(Refused::ReasonRequired)));
    assert!(is_done(&world.decide(run, approve(2)).await));
    assert!(is_done(&world.decide(run, cancel(2)).await));
    let log = world.log(run).await;
    let said: Vec<(&str, &str)> = log.iter().map(|of| (&*of.0, &*of.4)).collect();
    assert_eq!(
        said,
        [
            ("approve", "1 of 2 in stage approval"),
            ("refused", "refused: you cannot approve your own run"),
            ("approve", "approved"),
            ("cancel", "cancelled"),
        ]
    );
    assert_eq!(log[0].3.as_deref(), Some("as tested"));
}
