//! Runs that were given another plan, because the code behind theirs moved on.

use neena_engine::Hash;
use neena_engine::run::{Decision, Refused, Say, Then};
use neena_store::Decided;

use crate::harness::{World, actor, approve, completed, on_every_store, plan, reject, then};

on_every_store! {
    what_was_done_stays_done_and_the_rest_is_approved_anew,
    votes_count_for_no_other_plan_and_not_for_a_plan_that_came_back,
    a_new_plan_that_is_rejected_ends_the_run_with_what_it_did,
    a_plan_is_given_once,
}

/// The plan of so many tasks, in place of the one the run has.
async fn resubmit(world: &World, run: neena_engine::ids::RunId, tasks: u32) -> Decision {
    Decision::Resubmit {
        plan: plan(world.organization.0, tasks, 2),
        from: world.store.plan(run).await.unwrap().hash,
        why: "no worker hosts it any more".to_owned(),
    }
}

/// A run of three tasks, of which one is done, that waits for something.
async fn parked(world: &World) -> neena_engine::ids::RunId {
    let run = world.ready().await;
    let held = world.take(run).await.unwrap();
    let park = Then::Park {
        wake_at: None,
        reason: Some("no worker hosts it".into()),
    };
    let record = then(vec![completed(run, 0, "done")], park);
    assert!(world.record(&held, record).await.applied);
    run
}

fn done(decided: Decided) -> Decided {
    assert!(matches!(decided, Decided::Done { .. }), "{decided:?}");
    decided
}

async fn what_was_done_stays_done_and_the_rest_is_approved_anew(world: World) {
    let run = parked(&world).await;
    let old = world.store.plan(run).await.unwrap();
    let before = world.tasks(run).await;
    let decision = resubmit(&world, run, 4).await;
    done(world.decide(run, decision).await);
    let new = world.store.plan(run).await.unwrap();
    assert_ne!(new.hash, old.hash);
    assert_eq!(new.graph.len(), 4);
    let row = world.row(run).await;
    assert_eq!(
        (row.status.as_str(), row.approval_status.as_deref()),
        ("pending", None)
    );
    assert!(world.take(run).await.is_none(), "it waits");
    let on = |plan_hash| Decision::Approve(Say::of_run(actor(1), Some(plan_hash)));
    let stale = world.decide(run, on(old.hash)).await;
    assert!(matches!(stale, Decided::Refused(Refused::StalePlan)));
    // The new plan takes two, and person 1 approved the old one.
    done(world.decide(run, on(new.hash)).await);
    assert!(world.take(run).await.is_none(), "one is not enough");
    done(world.decide(run, approve(2)).await);
    let held = world.take(run).await.unwrap();
    assert_eq!(
        (held.plan_hash, held.approved_hash),
        (new.hash, Some(new.hash))
    );
    assert_eq!((held.epoch, held.claims), (2, 1));
    assert_eq!(world.tasks(run).await, before);
}

async fn votes_count_for_no_other_plan_and_not_for_a_plan_that_came_back(world: World) {
    let run = world.waiting(3, 2).await;
    let first = world.store.plan(run).await.unwrap();
    done(world.decide(run, approve(1)).await);
    let decision = resubmit(&world, run, 4).await;
    done(world.decide(run, decision).await);
    done(world.decide(run, approve(2)).await);
    assert!(
        world.take(run).await.is_none(),
        "one vote on each of two plans"
    );
    let decision = resubmit(&world, run, 3).await;
    done(world.decide(run, decision).await);
    assert_eq!(world.store.plan(run).await.unwrap().hash, first.hash);
    done(world.decide(run, approve(2)).await);
    assert!(world.take(run).await.is_none(), "the first vote is void");
    done(world.decide(run, approve(1)).await);
    assert!(world.take(run).await.is_some());
}

async fn a_new_plan_that_is_rejected_ends_the_run_with_what_it_did(world: World) {
    let run = parked(&world).await;
    let before = world.tasks(run).await;
    let decision = resubmit(&world, run, 4).await;
    done(world.decide(run, decision).await);
    done(world.decide(run, reject(2)).await);
    let row = world.row(run).await;
    assert_eq!(
        (row.status.as_str(), row.approval_status.as_deref()),
        ("cancelled", Some("rejected"))
    );
    let held = world.take(run).await.unwrap();
    assert_eq!(held.phase, neena_engine::run::Phase::Closing);
    let close = Then::Close {
        body: "it was rejected".into(),
    };
    assert!(world.record(&held, then(vec![], close)).await.applied);
    assert!(world.result(run).await.is_some());
    assert_eq!(world.tasks(run).await, before);
    let again = world.decide(run, crate::harness::retry(1)).await;
    assert!(
        matches!(again, Decided::Refused(Refused::Conflict(_))),
        "{again:?}"
    );
}

async fn a_plan_is_given_once(world: World) {
    let run = parked(&world).await;
    let decision = resubmit(&world, run, 4).await;
    done(world.decide(run, decision.clone()).await);
    let again = world.decide(run, decision).await;
    assert!(
        matches!(again, Decided::Refused(Refused::StalePlan)),
        "{again:?}"
    );
    let held = world.held().await;
    let other = Decision::Resubmit {
        plan: plan(world.organization.0, 4, 1),
        from: Hash::of(b"another"),
        why: "nothing".to_owned(),
    };
    let refused = world.decide(held.run, other).await;
    assert!(matches!(refused, Decided::Refused(_)), "{refused:?}");
}
