//! What owners record: only under their claim, outcomes once, ends only on what they have seen.

use neena_engine::run::{Attempt, Phase, RunStatus, TaskKey, Then};
use neena_engine::{Json, Micros};
use neena_store::{Batch, StoreError, Verdict};

use crate::harness::{
    World, actor, cancel, completed, entry, failed, finish, hold, kinds, on_every_store, pending,
    started, then,
};

on_every_store! {
    what_was_recorded_is_loaded,
    a_stale_claim_writes_nothing,
    an_outcome_is_written_once,
    within_a_record_the_last_row_of_a_task_stands,
    the_first_rows_start_the_run,
    a_finish_ends_the_run,
    a_finish_applies_only_if_the_inbox_is_as_seen,
    a_park_applies_only_if_the_inbox_is_as_seen,
    a_close_applies_only_to_a_closing_run,
    an_outcome_after_a_cancel_is_kept,
    a_run_given_back_is_ready_again,
    failed_attempts_are_kept,
    many_runs_are_recorded_in_one_batch,
    the_same_batch_again_changes_nothing,
    a_park_says_why_and_progress_forgets_it,
    a_large_record_is_written_whole,
}

async fn what_was_recorded_is_loaded(world: World) {
    let held = world.held().await;
    let mut row = completed(held.run, 2, "text with \u{1f980} and \\u0000");
    row.prep_answer = Some(Json::trusted(r#"{"parameters":[]}"#));
    let due = pending(held.run, 0, Micros(77));
    let verdict = world
        .record(&held, hold(vec![row.clone(), due.clone()]))
        .await;
    assert!(verdict.held && verdict.applied);
    assert_eq!(
        (verdict.phase, verdict.intent, verdict.inbox_seq),
        (Phase::Running, None, 0)
    );
    assert_eq!(world.store.load(held.run).await.unwrap().rows, [due, row]);
}

async fn a_stale_claim_writes_nothing(world: World) {
    let stale = world.held().await;
    world.store.bury_all().await.unwrap();
    let owner = world.take(stale.run).await.unwrap();
    let end = then(
        vec![completed(stale.run, 0, "stale")],
        finish(RunStatus::Completed),
    );
    let verdict = world.record(&stale, end).await;
    assert!(!verdict.held && !verdict.applied && verdict.outbox.is_empty());
    assert_eq!(world.tasks(stale.run).await, []);
    assert_eq!(world.row(stale.run).await.status, "in_progress");
    assert_eq!(world.result(stale.run).await, None);
    assert!(
        world
            .record(&owner, hold(vec![started(stale.run, 0)]))
            .await
            .held
    );
}

async fn an_outcome_is_written_once(world: World) {
    let held = world.held().await;
    let run = held.run;
    world.record(&held, hold(vec![started(run, 0)])).await;
    world
        .record(&held, hold(vec![completed(run, 0, "first")]))
        .await;
    world
        .record(
            &held,
            hold(vec![failed(run, 0), started(run, 0), started(run, 1)]),
        )
        .await;
    let rows = world.store.load(run).await.unwrap().rows;
    assert_eq!(rows, [completed(run, 0, "first"), started(run, 1)]);
}

async fn within_a_record_the_last_row_of_a_task_stands(world: World) {
    let held = world.held().await;
    let run = held.run;
    let rows = vec![started(run, 0), started(run, 1), completed(run, 0, "done")];
    world.record(&held, hold(rows)).await;
    let rows = world.store.load(run).await.unwrap().rows;
    assert_eq!(rows, [completed(run, 0, "done"), started(run, 1)]);
}

async fn the_first_rows_start_the_run(world: World) {
    let held = world.held().await;
    world.record(&held, hold(vec![])).await;
    assert!(!world.row(held.run).await.started);
    world.record(&held, hold(vec![started(held.run, 0)])).await;
    assert!(world.row(held.run).await.started);
}

async fn a_finish_ends_the_run(world: World) {
    let held = world.held().await;
    let run = held.run;
    let rows = (0..3).map(|index| completed(run, index, "done")).collect();
    let verdict = world
        .record(&held, then(rows, finish(RunStatus::Completed)))
        .await;
    assert!(verdict.applied);
    assert_eq!(kinds(&verdict.outbox), ["flow_run.completed"]);
    assert_eq!(verdict.outbox[0].epoch, 1);
    let row = world.row(run).await;
    assert_eq!(
        (row.status.as_str(), row.epoch, row.round),
        ("completed", 1, 1)
    );
    assert!(row.started && row.ended && row.reason.is_none());
    assert_eq!(world.result(run).await.as_deref(), Some("it completed"));
    assert_eq!(
        world.outbox(run).await,
        ["flow_run.approved", "flow_run.completed"]
    );
    assert!(world.take(run).await.is_none());
    assert!(!world.record(&held, hold(vec![])).await.held);
}

async fn a_finish_applies_only_if_the_inbox_is_as_seen(world: World) {
    let held = world.held().await;
    let end = || {
        then(
            vec![completed(held.run, 0, "done")],
            finish(RunStatus::Completed),
        )
    };
    let verdict = world.record_seen(&held, held.inbox_seq + 1, end()).await;
    assert!(verdict.held && !verdict.applied);
    // Its rows are kept all the same.
    assert_eq!(world.tasks(held.run).await, [(0, "completed", 1, 0)]);
    assert_eq!(world.row(held.run).await.status, "in_progress");
    assert!(
        world
            .record_seen(&held, verdict.inbox_seq, end())
            .await
            .applied
    );
}

async fn a_park_applies_only_if_the_inbox_is_as_seen(world: World) {
    let held = world.held().await;
    let park = || {
        then(
            vec![],
            Then::Park {
                wake_at: Some(Micros(1)),
                reason: None,
            },
        )
    };
    let stale = world.record_seen(&held, held.inbox_seq + 1, park()).await;
    assert!(stale.held && !stale.applied);
    assert!(world.record(&held, park()).await.applied);
    assert!(!world.record(&held, hold(vec![])).await.held);
    // Parked: nobody can take it before it is woken.
    assert!(world.take(held.run).await.is_none());
    let woken = world.store.wake(10).await.unwrap();
    assert_eq!(kinds(&woken), ["flow_run.resumed"]);
    let again = world.take(held.run).await.unwrap();
    assert_eq!(
        (again.epoch, again.claims, again.inbox_seq),
        (2, 1, held.inbox_seq + 1)
    );
}

async fn a_close_applies_only_to_a_closing_run(world: World) {
    let held = world.held().await;
    let close = || {
        then(
            vec![],
            Then::Close {
                body: "closed".into(),
            },
        )
    };
    assert!(!world.record(&held, close()).await.applied);
    world.decide(held.run, cancel(1)).await;
    let verdict = world.record(&held, close()).await;
    assert!(verdict.applied);
    assert_eq!(kinds(&verdict.outbox), ["flow_run.cancelled"]);
    assert_eq!(world.result(held.run).await.as_deref(), Some("closed"));
    let row = world.row(held.run).await;
    assert_eq!((row.status.as_str(), row.epoch), ("cancelled", 1));
}

async fn an_outcome_after_a_cancel_is_kept(world: World) {
    let held = world.held().await;
    world.record(&held, hold(vec![started(held.run, 0)])).await;
    world.decide(held.run, cancel(1)).await;
    let verdict = world
        .record(&held, hold(vec![completed(held.run, 0, "late")]))
        .await;
    assert!(verdict.held && verdict.applied);
    assert_eq!(
        (verdict.phase, verdict.inbox_seq),
        (Phase::Closing, held.inbox_seq + 1)
    );
    assert_eq!(world.tasks(held.run).await, [(0, "completed", 1, 0)]);
    // Why it was cancelled is still told.
    assert_eq!(
        world.row(held.run).await.reason,
        Some(format!("cancelled by {}", actor(1).email))
    );
}

async fn a_run_given_back_is_ready_again(world: World) {
    let held = world.held().await;
    assert!(
        world
            .record(&held, then(vec![started(held.run, 0)], Then::Yield))
            .await
            .applied
    );
    let again = world.take(held.run).await.unwrap();
    assert_eq!((again.epoch, again.claims), (2, 1));
    assert_eq!(world.tasks(held.run).await, [(0, "in_progress", 1, 0)]);
}

async fn failed_attempts_are_kept(world: World) {
    let held = world.held().await;
    let attempt = Attempt {
        key: TaskKey {
            index: 1,
            item: None,
        },
        attempt: 1,
        start_time: Some(Micros(1)),
        end_time: Some(Micros(2)),
        error: Json::trusted(r#"{"type":"timeout","message":"too slow"}"#),
    };
    let mut record = hold(vec![pending(held.run, 1, Micros(3))]);
    record.attempts.push(attempt);
    world.record(&held, record.clone()).await;
    world.record(&held, record).await;
    assert_eq!(world.attempts(held.run).await, [(1, 1, 1)]);
}

async fn many_runs_are_recorded_in_one_batch(world: World) {
    let mut entries = Vec::new();
    for at in 0..70 {
        let held = world.held().await;
        let rows = (0..3)
            .map(|index| completed(held.run, index, "done"))
            .collect();
        let end = if at % 2 == 0 {
            finish(RunStatus::Failed)
        } else {
            Then::Hold
        };
        let mut entry = entry(&held, 0, then(rows, end));
        if at % 7 == 0 {
            entry.claim = neena_engine::ids::ClaimId(uuid::Uuid::nil());
        }
        entries.push(entry);
    }
    let runs: Vec<_> = entries.iter().map(|entry| entry.run).collect();
    let verdicts = world
        .store
        .commit(&Batch {
            entries,
            durable: true,
        })
        .await
        .unwrap();
    for (at, (run, verdict)) in runs.iter().zip(&verdicts).enumerate() {
        assert_eq!(verdict.run, *run);
        assert_eq!(verdict.held, at % 7 != 0);
        let ended = at % 7 != 0 && at % 2 == 0;
        assert_eq!(world.row(*run).await.status == "failed", ended, "{at}");
        assert_eq!(verdict.outbox.len(), usize::from(ended));
        assert_eq!(
            world.tasks(*run).await.len(),
            if at % 7 == 0 { 0 } else { 3 }
        );
    }
}

async fn the_same_batch_again_changes_nothing(world: World) {
    let held = world.held().await;
    let rows = vec![completed(held.run, 0, "done")];
    let record = then(rows, finish(RunStatus::Completed));
    let batch = Batch {
        entries: vec![entry(&held, 0, record)],
        durable: true,
    };
    let first: Vec<Verdict> = world.store.commit(&batch).await.unwrap();
    assert!(first[0].applied);
    let (outbox, row) = (world.outbox(held.run).await, world.row(held.run).await);
    let again: Result<Vec<Verdict>, StoreError> = world.store.commit(&batch).await;
    assert!(!again.unwrap()[0].held);
    assert_eq!(
        (world.outbox(held.run).await, world.row(held.run).await),
        (outbox, row)
    );
}

async fn a_park_says_why_and_progress_forgets_it(world: World) {
    let held = world.held().await;
    let reason = Some("no worker hosts it".into());
    let park = Then::Park {
        wake_at: Some(Micros(1)),
        reason,
    };
    assert!(world.record(&held, then(vec![], park)).await.applied);
    assert_eq!(
        world.row(held.run).await.reason.as_deref(),
        Some("no worker hosts it")
    );
    world.store.wake(10).await.unwrap();
    let again = world.take(held.run).await.unwrap();
    world.record(&again, hold(vec![started(held.run, 0)])).await;
    assert_eq!(world.row(held.run).await.reason, None);
}

async fn a_large_record_is_written_whole(world: World) {
    let held = world.held().await;
    let rows: Vec<_> = (0..1_003)
        .map(|index| completed(held.run, index, "done"))
        .collect();
    world.record(&held, hold(rows)).await;
    let tasks = world.tasks(held.run).await;
    assert_eq!(tasks.len(), 1_003);
    assert!(
        tasks
            .iter()
            .enumerate()
            .all(|(at, task)| task.0 as usize == at && task.1 == "completed")
    );
}
