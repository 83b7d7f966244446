//! Decisions of others, and who wins when they race.

use neena_engine::Hash;
use neena_engine::ids::OrganizationId;
use neena_engine::run::{Decision, Refused, RunStatus, Say, Then};
use neena_store::{Decided, Deciding};
use uuid::Uuid;

use crate::harness::{
    World, actor, approve, cancel, completed, failed, finish, kinds, on_every_store, reject, retry,
    skipped, started, then,
};

on_every_store! {
    approving_makes_a_run_ready,
    two_approvers_at_once_make_one_event,
    many_at_once_are_decided_as_one_after_the_other,
    a_quorum_takes_its_votes,
    the_last_votes_of_a_quorum_are_both_counted,
    the_same_person_again_is_already_so,
    another_organizations_run_is_not_found,
    a_vote_on_another_plan_is_stale,
    changed_code_is_not_approved,
    rejecting_ends_a_waiting_run,
    cancelling_a_waiting_run_ends_it,
    cancelling_a_running_run_pokes_its_owner,
    of_cancel_and_finish_the_first_wins,
    retry_opens_a_new_round,
    of_many_retries_one_opens_a_round,
    a_rejected_run_is_not_retried,
    the_plan_is_read_back_verified,
}

fn refused(decided: &Decided) -> Option<&Refused> {
    match decided {
        Decided::Refused(refused) => Some(refused),
        _ => None,
    }
}

async fn approving_makes_a_run_ready(world: World) {
    let run = world.waiting(1, 1).await;
    let Decided::Done { live, outbox, poke } = world.decide(run, approve(1)).await else {
        panic!("refused")
    };
    assert_eq!(kinds(&outbox), ["flow_run.approved"]);
    assert_eq!(poke, None);
    let live = live.unwrap();
    assert_eq!(live.approved_hash, Some(live.plan_hash));
    let row = world.row(run).await;
    assert_eq!(
        (row.status.as_str(), row.approval_status.as_deref()),
        ("in_progress", Some("approved"))
    );
    assert_eq!(world.outbox(run).await, ["flow_run.approved"]);
}

async fn two_approvers_at_once_make_one_event(world: World) {
    for _ in 0..20 {
        let run = world.waiting(1, 1).await;
        let votes = (1..=8).map(|name| world.decide(run, approve(name)));
        let decided = futures_util::future::join_all(votes).await;
        let done = decided
            .iter()
            .filter(|decided| matches!(decided, Decided::Done { .. }))
            .count();
        let late = decided
            .iter()
            .filter(|decided| matches!(refused(decided), Some(Refused::Conflict(_))));
        assert_eq!((done, late.count()), (1, 7), "{decided:?}");
        assert_eq!(world.outbox(run).await, ["flow_run.approved"]);
    }
}

async fn many_at_once_are_decided_as_one_after_the_other(world: World) {
    let mut runs = Vec::new();
    for votes in [1, 1, 1, 2] {
        runs.push(world.waiting(1, votes).await);
    }
    let [a, b, gone, two] = runs[..] else {
        panic!("four runs")
    };
    world.decide(gone, cancel(1)).await;
    let mut all = Vec::new();
    for (run, decision) in [
        (two, approve(1)),
        (b, reject(1)),
        (a, approve(1)),
        (gone, approve(1)),
        (a, approve(1)),
        (a, approve(2)),
        (two, approve(2)),
        (a, cancel(1)),
    ] {
        let plan = world.store.plan(run).await.unwrap();
        all.push((world.deciding(run, decision), plan));
    }
    let elsewhere = Deciding {
        organization: OrganizationId(Uuid::now_v7()),
        ..all[0].0.clone()
    };
    all.push((elsewhere, all[0].1.clone()));
    let decided = world.store.decide_all(&all).await.unwrap();
    let told: Vec<&str> = decided
        .iter()
        .map(|one| match one {
            Decided::Done { outbox, .. } => outbox.first().map_or("vote", |event| &*event.kind),
            Decided::AlreadySo => "already so",
            Decided::Refused(_) => "refused",
            Decided::NotFound => "not found",
        })
        .collect();
    assert_eq!(
        told,
        [
            "vote",
            "flow_run.rejected",
            "flow_run.approved",
            "refused",
            "already so",
            "refused",
            "flow_run.approved",
            "flow_run.cancelled",
            "not found"
        ]
    );
    for (run, status) in [(a, "cancelled"), (b, "cancelled"), (two, "in_progress")] {
        assert_eq!(world.row(run).await.status, status);
    }
    assert_eq!(world.outbox(two).await, ["flow_run.approved"]);
    assert_eq!(world.outbox(b).await, ["flow_run.rejected"]);
}

async fn a_quorum_takes_its_votes(world: World) {
    let run = world.waiting(1, 2).await;
    let Decided::Done { outbox, .. } = world.decide(run, approve(1)).await else {
        panic!("refused")
    };
    assert!(outbox.is_empty());
    assert_eq!(world.row(run).await.status, "pending");
    assert!(matches!(
        world.decide(run, approve(1)).await,
        Decided::AlreadySo
    ));
    let Decided::Done { outbox, .. } = world.decide(run, approve(2)).await else {
        panic!("refused")
    };
    assert_eq!(kinds(&outbox), ["flow_run.approved"]);
}

async fn the_last_votes_of_a_quorum_are_both_counted(world: World) {
    for _ in 0..20 {
        let run = world.waiting(1, 2).await;
        let (one, two) = tokio::join!(world.decide(run, approve(1)), world.decide(run, approve(2)));
        assert!(matches!(
            (&one, &two),
            (Decided::Done { .. }, Decided::Done { .. })
        ));
        assert_eq!(world.row(run).await.status, "in_progress");
        assert_eq!(world.outbox(run).await, ["flow_run.approved"]);
    }
}

async fn the_same_person_again_is_already_so(world: World) {
    let run = world.waiting(1, 1).await;
    world.decide(run, approve(1)).await;
    assert!(matches!(
        world.decide(run, approve(1)).await,
        Decided::AlreadySo
    ));
    assert!(matches!(
        refused(&world.decide(run, approve(2)).await),
        Some(Refused::Conflict(_))
    ));
    world.decide(run, cancel(1)).await;
    assert!(matches!(
        world.decide(run, cancel(1)).await,
        Decided::AlreadySo
    ));
    assert_eq!(world.outbox(run).await.len(), 2);
}

async fn another_organizations_run_is_not_found(world: World) {
    let run = world.waiting(1, 1).await;
    for decision in [approve(1), reject(1), cancel(1), retry(1)] {
        let mut foreign = world.deciding(run, decision.clone());
        foreign.organization = OrganizationId(Uuid::from_u128(98));
        assert!(matches!(
            world.store.decide(&foreign).await.unwrap(),
            Decided::NotFound
        ));
        let unknown = world.deciding(neena_engine::ids::RunId(Uuid::nil()), decision);
        assert!(matches!(
            world.store.decide(&unknown).await.unwrap(),
            Decided::NotFound
        ));
    }
    assert_eq!(world.row(run).await.status, "pending");
}

async fn a_vote_on_another_plan_is_stale(world: World) {
    let run = world.waiting(1, 1).await;
    let plan_hash = Some(Hash::of(b"another"));
    let stale = Decision::Approve(Say::of_run(actor(1), plan_hash));
    assert_eq!(
        refused(&world.decide(run, stale).await),
        Some(&Refused::StalePlan)
    );
    let plan_hash = Some(world.store.plan(run).await.unwrap().hash);
    let exact = Decision::Approve(Say::of_run(actor(1), plan_hash));
    assert!(matches!(
        world.decide(run, exact).await,
        Decided::Done { .. }
    ));
}

async fn changed_code_is_not_approved(world: World) {
    let run = world.waiting(1, 1).await;
    let mut deciding = world.deciding(run, approve(1));
    deciding.code_current = false;
    let decided = world.store.decide(&deciding).await.unwrap();
    assert_eq!(refused(&decided), Some(&Refused::CodeChanged));
    assert_eq!(world.outbox(run).await.len(), 0);
}

async fn rejecting_ends_a_waiting_run(world: World) {
    let run = world.waiting(1, 1).await;
    let Decided::Done { live, outbox, .. } = world.decide(run, reject(1)).await else {
        panic!("refused")
    };
    assert!(live.is_none());
    assert_eq!(kinds(&outbox), ["flow_run.rejected"]);
    let row = world.row(run).await;
    assert_eq!(
        (row.status.as_str(), row.approval_status.as_deref()),
        ("cancelled", Some("rejected"))
    );
    assert!(row.ended && world.result(run).await.is_some());
    assert!(matches!(
        refused(&world.decide(run, approve(2)).await),
        Some(Refused::Conflict(_))
    ));
}

async fn cancelling_a_waiting_run_ends_it(world: World) {
    let run = world.waiting(1, 1).await;
    let Decided::Done { live, outbox, .. } = world.decide(run, cancel(1)).await else {
        panic!("refused")
    };
    assert!(live.is_none());
    assert_eq!(kinds(&outbox), ["flow_run.cancelled"]);
    assert!(world.result(run).await.is_some());
    assert!(world.take(run).await.is_none());
}

async fn cancelling_a_running_run_pokes_its_owner(world: World) {
    let run = world.ready().await;
    let worker = world.worker(std::time::Duration::from_secs(10)).await;
    let held = world.take_as(worker, run).await.unwrap();
    let Decided::Done { live, outbox, poke } = world.decide(run, cancel(2)).await else {
        panic!("refused")
    };
    assert_eq!(poke, Some(worker));
    assert!(outbox.is_empty());
    assert_eq!(live.unwrap().inbox_seq, held.inbox_seq + 1);
    let row = world.row(run).await;
    assert_eq!((row.status.as_str(), row.ended), ("cancelled", true));
}

async fn of_cancel_and_finish_the_first_wins(world: World) {
    let (mut cancelled, mut completed_runs) = (0, 0);
    for at in 0..40 {
        let held = world.held().await;
        let end = then(
            vec![completed(held.run, 0, "done")],
            finish(RunStatus::Completed),
        );
        let (verdict, decided) = if at % 2 == 0 {
            tokio::join!(world.record(&held, end), world.decide(held.run, cancel(1)))
        } else {
            let (decided, verdict) =
                tokio::join!(world.decide(held.run, cancel(1)), world.record(&held, end));
            (verdict, decided)
        };
        let row = world.row(held.run).await;
        match decided {
            Decided::Done { .. } => {
                cancelled += 1;
                assert!(!verdict.applied);
                assert_eq!(row.status, "cancelled");
                let close = Then::Close {
                    body: "closed".into(),
                };
                assert!(world.record(&held, then(vec![], close)).await.applied);
            }
            Decided::Refused(Refused::Conflict(_)) => {
                completed_runs += 1;
                assert!(verdict.applied);
                assert_eq!(row.status, "completed");
            }
            other => panic!("{other:?}"),
        }
        assert_eq!(world.outbox(held.run).await.len(), 2);
        assert_eq!(world.tasks(held.run).await, [(0, "completed", 1, 0)]);
    }
    assert_eq!(cancelled + completed_runs, 40);
}

async fn retry_opens_a_new_round(world: World) {
    let held = world.held().await;
    let run = held.run;
    assert!(matches!(
        refused(&world.decide(run, retry(1)).await),
        Some(Refused::Conflict(_))
    ));
    let rows = vec![completed(run, 0, "kept"), failed(run, 1), skipped(run, 2)];
    assert!(
        world
            .record(&held, then(rows, finish(RunStatus::Failed)))
            .await
            .applied
    );
    let Decided::Done { live, outbox, .. } = world.decide(run, retry(1)).await else {
        panic!("refused")
    };
    assert_eq!(kinds(&outbox), ["flow_run.resumed"]);
    assert_eq!(live.unwrap().epoch, 1);
    let row = world.row(run).await;
    assert_eq!(
        (row.status.as_str(), row.round, row.ended),
        ("in_progress", 2, false)
    );
    assert_eq!(row.reason, None);
    assert_eq!(world.result(run).await, None);
    assert_eq!(
        world.tasks(run).await,
        [(0, "completed", 1, 0), (1, "pending", 1, 1)]
    );
    assert_eq!(world.attempts(run).await, [(1, 1, 1)]);
    let again = world.take(run).await.unwrap();
    assert_eq!(again.epoch, 2);
    let mut second = completed(run, 1, "at last");
    (second.attempt, second.attempts_before) = (2, 1);
    let verdict = world
        .record(&again, then(vec![second], finish(RunStatus::Completed)))
        .await;
    assert!(verdict.applied);
    assert_eq!(
        world.tasks(run).await,
        [(0, "completed", 1, 0), (1, "completed", 2, 1)]
    );
    assert_eq!(world.row(run).await.epoch, 2);
    assert!(matches!(
        refused(&world.decide(run, retry(1)).await),
        Some(Refused::Conflict(_))
    ));
}

async fn of_many_retries_one_opens_a_round(world: World) {
    for _ in 0..10 {
        let held = world.held().await;
        let rows = vec![started(held.run, 0), failed(held.run, 1)];
        world
            .record(&held, then(rows, finish(RunStatus::Failed)))
            .await;
        let retries = (0..6).map(|_| world.decide(held.run, retry(1)));
        let decided = futures_util::future::join_all(retries).await;
        let done = decided
            .iter()
            .filter(|decided| matches!(decided, Decided::Done { .. }))
            .count();
        assert_eq!(done, 1, "{decided:?}");
        assert_eq!(world.row(held.run).await.round, 2);
        assert_eq!(world.attempts(held.run).await, [(1, 1, 1)]);
    }
}

async fn a_rejected_run_is_not_retried(world: World) {
    let run = world.waiting(1, 1).await;
    world.decide(run, reject(1)).await;
    assert!(matches!(
        refused(&world.decide(run, retry(1)).await),
        Some(Refused::Conflict(_))
    ));
    assert!(world.take(run).await.is_none());
}

async fn the_plan_is_read_back_verified(world: World) {
    let run = world.waiting(3, 2).await;
    let plan = world.store.plan(run).await.unwrap();
    assert_eq!((plan.graph.len(), plan.head.policy.stages[0].count), (3, 2));
    assert_eq!(*plan, *world.store.plan(run).await.unwrap());
    let unknown = world
        .store
        .plan(neena_engine::ids::RunId(Uuid::nil()))
        .await;
    assert!(unknown.is_err());
}
