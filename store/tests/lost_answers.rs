//! Postgres, and connections that are cut at the worst moment.

use std::sync::Arc;
use std::time::{Duration, Instant};

use neena_engine::run::{Decision, RunStatus};
use neena_store::{Beat, Connections, Db, Decided, Journal, StoreError, Which, outlet};
use sea_orm::ConnectionTrait;

use crate::harness::{
    Cluster, Proxy, World, approve, cancel, claim, completed, entry, finish, hold, kinds, reject,
    retry, stages, then,
};

/// A database, a world behind a proxy, and one that is not.
async fn behind_a_proxy() -> Option<(Cluster, Proxy, World, Arc<World>)> {
    let cluster = Cluster::of(1).await?;
    let proxy = Proxy::to(&cluster.url).await;
    let world = World::over(Db::postgres(&proxy.url).await.unwrap());
    let direct = Arc::clone(&cluster.worlds[0]);
    Some((cluster, proxy, world, direct))
}

/// Each decision whose commit is cut off gets its own answer, once.
async fn decisions(passed_on: bool) {
    let Some((cluster, proxy, world, direct)) = behind_a_proxy().await else {
        return;
    };
    let waiting = || direct.waiting(1, 1);
    let ended = async || {
        let held = direct.held().await;
        let end = then(vec![], finish(RunStatus::Failed));
        assert!(direct.record(&held, end).await.applied);
        held.run
    };
    let cases: [(_, Decision, &[&str]); 5] = [
        (waiting().await, approve(1), &["flow_run.approved"]),
        (waiting().await, reject(1), &["flow_run.rejected"]),
        (waiting().await, cancel(1), &["flow_run.cancelled"]),
        (direct.held().await.run, cancel(1), &[]),
        (ended().await, retry(1), &["flow_run.resumed"]),
    ];
    for (number, (run, decision, events)) in cases.into_iter().enumerate() {
        let before = direct.outbox(run).await.len();
        let logged = direct.log(run).await.len();
        proxy.cut(b"COMMIT", passed_on);
        let decided = world.decide(run, decision.clone()).await;
        assert_eq!(proxy.cuts(), number + 1, "it was cut");
        let Decided::Done { outbox, poke, .. } = decided else {
            panic!("{decision:?}: {decided:?}");
        };
        assert_eq!(kinds(&outbox), events, "{decision:?}");
        assert_eq!(poke.is_some(), events.is_empty());
        assert_eq!(direct.outbox(run).await.len(), before + events.len());
        assert_eq!(direct.log(run).await.len(), logged + 1, "{decision:?}");
    }
    refusals(&proxy, &world, &direct, passed_on).await;
    world.db().unwrap().close().await;
    assert_eq!(cluster.end().await, 0);
}

/// A vote that is not the last one, and one that is refused: each is in the log once, whatever became of its
/// first commit.
async fn refusals(proxy: &Proxy, world: &World, direct: &World, passed_on: bool) {
    let cuts = proxy.cuts();
    let run = direct
        .asking(stages(&[("team", 2, "1@example.com 2@example.com")]), &[])
        .await;
    proxy.cut(b"COMMIT", passed_on);
    let denied = world.decide(run, approve(4)).await;
    assert!(matches!(denied, Decided::Refused(_)), "{denied:?}");
    proxy.cut(b"COMMIT", passed_on);
    let Decided::Done { outbox, .. } = world.decide(run, approve(1)).await else {
        panic!("the first vote is kept");
    };
    assert!(outbox.is_empty());
    assert_eq!(proxy.cuts(), cuts + 2);
    let log = direct.log(run).await;
    let what: Vec<&str> = log.iter().map(|entry| &*entry.0).collect();
    assert_eq!(what, ["refused", "approve"]);
}

#[tokio::test]
async fn a_decision_whose_answer_is_lost_is_answered_once() {
    decisions(true).await;
}

#[tokio::test]
async fn a_decision_whose_commit_is_lost_is_made_again() {
    decisions(false).await;
}

#[tokio::test]
async fn a_batch_whose_answer_is_lost_is_sent_again_and_changes_nothing() {
    let Some((cluster, proxy, world, direct)) = behind_a_proxy().await else {
        return;
    };
    for passed_on in [true, false] {
        let held = direct.held().await;
        // Prepares the statement, whose text would be looked for in vain later.
        world.record(&held, hold(vec![])).await;
        let journal = Journal::start(world.store.clone(), outlet().0);
        proxy.cut(held.claim.0.as_bytes(), passed_on);
        let record = hold(vec![completed(held.run, 0, "once")]);
        let pending = journal.push(entry(&held, held.inbox_seq, record)).await;
        let (_, verdict) = pending.unwrap().await;
        assert!(verdict.unwrap().held);
        assert_eq!(direct.tasks(held.run).await, [(0, "completed", 1, 0)]);
        journal.close().await;
    }
    assert_eq!(proxy.cuts(), 2);
    world.db().unwrap().close().await;
    assert_eq!(cluster.end().await, 0);
}

#[tokio::test]
async fn an_end_whose_answer_is_lost_stands() {
    let Some((cluster, proxy, world, direct)) = behind_a_proxy().await else {
        return;
    };
    let held = direct.held().await;
    proxy.cut(held.claim.0.as_bytes(), true);
    let journal = Journal::start(world.store.clone(), outlet().0);
    let record = then(
        vec![completed(held.run, 0, "x")],
        finish(RunStatus::Completed),
    );
    let pending = journal.push(entry(&held, held.inbox_seq, record)).await;
    // The run is over: nobody holds it any more.
    assert!(!pending.unwrap().await.1.unwrap().held);
    assert_eq!(direct.row(held.run).await.status, "completed");
    assert_eq!(direct.outbox(held.run).await.len(), 2);
    journal.close().await;
    world.db().unwrap().close().await;
    assert_eq!(cluster.end().await, 0);
}

#[tokio::test]
async fn a_claim_whose_answer_is_lost_is_found_by_the_beat() {
    let Some((cluster, proxy, world, direct)) = behind_a_proxy().await else {
        return;
    };
    let run = direct.ready().await;
    let worker = world.worker(Duration::from_secs(60)).await;
    let call = claim(worker);
    proxy.cut(call.id.0.as_bytes(), true);
    let lost = world.store.claim(&call, Which::Named(&[run])).await;
    assert!(matches!(lost, Err(StoreError::Unknown(_))), "{lost:?}");
    let held = loop {
        match world
            .store
            .beat(worker, Duration::from_secs(60))
            .await
            .unwrap()
        {
            Beat::Alive { held, .. } if held.is_empty() => tokio::task::yield_now().await,
            Beat::Alive { held, .. } => break held,
            Beat::Dead => panic!("dead"),
        }
    };
    assert_eq!((held[0].run, held[0].claim), (run, call.id));
    world.db().unwrap().close().await;
    assert_eq!(cluster.end().await, 0);
}

/// A durable batch on a new connection does not vouch for what was committed lazily before: the server may
/// have crashed in between.
#[tokio::test]
async fn after_a_lost_connection_lazy_records_are_written_again() {
    let Some((cluster, _, world, direct)) = behind_a_proxy().await else {
        return;
    };
    let held = direct.held().await;
    world.record(&held, hold(vec![])).await;
    let lazily = neena_store::Batch {
        entries: vec![entry(&held, 0, hold(vec![completed(held.run, 0, "a")]))],
        durable: false,
    };
    assert!(world.store.commit(&lazily).await.unwrap()[0].held);
    let durable = |index| neena_store::Batch {
        entries: vec![entry(&held, 0, hold(vec![completed(held.run, index, "b")]))],
        durable: true,
    };
    cluster.hang_up().await;
    let mut refused = 0;
    while let Err(error) = world.store.commit(&durable(1)).await {
        refused +=
            usize::from(matches!(&error, StoreError::Unavailable(why) if why.contains("anew")));
    }
    assert_eq!(refused, 1, "said once");
    assert!(world.store.commit(&durable(2)).await.unwrap()[0].held);
    world.db().unwrap().close().await;
    assert_eq!(cluster.end().await, 0);
}

/// A lazy batch on a new connection would leave a hole where the server lost the one before: whoever owned the run
/// next would find a task that began, and not what it had begun with.
#[tokio::test]
async fn after_a_lost_connection_no_lazy_record_goes_ahead_of_those_before_it() {
    let Some((cluster, _, world, direct)) = behind_a_proxy().await else {
        return;
    };
    let held = direct.held().await;
    let lazily = |index| neena_store::Batch {
        entries: vec![entry(&held, 0, hold(vec![completed(held.run, index, "x")]))],
        durable: false,
    };
    while world.store.commit(&lazily(0)).await.is_err() {}
    cluster.hang_up().await;
    let mut refused = 0;
    while let Err(error) = world.store.commit(&lazily(1)).await {
        refused +=
            usize::from(matches!(&error, StoreError::Unavailable(why) if why.contains("anew")));
    }
    assert_eq!(refused, 1, "said once");
    world.db().unwrap().close().await;
    assert_eq!(cluster.end().await, 0);
}

/// One claim may take several runs. What the first of them was told counted for all, once, and the others went on
/// over records that were lost.
#[tokio::test]
async fn each_run_of_one_claim_is_told_that_its_lazy_records_may_be_lost() {
    let Some((cluster, _, world, direct)) = behind_a_proxy().await else {
        return;
    };
    let runs = [direct.ready().await, direct.ready().await];
    let call = claim(world.worker(Duration::from_secs(60)).await);
    let held = world.store.claim(&call, Which::Named(&runs)).await.unwrap();
    assert_eq!(held.len(), 2);
    let batch = |held: &neena_store::Held, index, durable| neena_store::Batch {
        entries: vec![entry(held, 0, hold(vec![completed(held.run, index, "x")]))],
        durable,
    };
    for held in &held {
        assert!(world.store.commit(&batch(held, 0, false)).await.unwrap()[0].held);
    }
    cluster.hang_up().await;
    for held in &held {
        let mut refused = 0;
        while let Err(error) = world.store.commit(&batch(held, 1, true)).await {
            refused +=
                usize::from(matches!(&error, StoreError::Unavailable(why) if why.contains("anew")));
        }
        assert_eq!(refused, 1, "{}", held.run);
    }
    world.db().unwrap().close().await;
    assert_eq!(cluster.end().await, 0);
}

#[tokio::test]
async fn who_finds_no_connection_is_told_soon() {
    let Some(cluster) = Cluster::of(1).await else {
        return;
    };
    let few = Connections {
        units: 1,
        patience: Duration::from_millis(300),
        ..Connections::default()
    };
    let db = Db::postgres_with(&cluster.url, &few).await.unwrap();
    let (entered, leave) = (
        Arc::new(tokio::sync::Notify::new()),
        Arc::new(tokio::sync::Notify::new()),
    );
    let holder = tokio::spawn({
        let (db, entered, leave) = (db.clone(), entered.clone(), leave.clone());
        async move {
            db.unit::<(), StoreError, _>(move |_| {
                Box::pin(async move {
                    entered.notify_one();
                    leave.notified().await;
                    Ok(())
                })
            })
            .await
        }
    });
    entered.notified().await;
    let start = Instant::now();
    let told = db
        .unit::<(), StoreError, _>(|_| Box::pin(async { Ok(()) }))
        .await;
    assert!(
        matches!(&told, Err(StoreError::Unavailable(why)) if why.contains("no connection")),
        "{told:?}"
    );
    assert!(start.elapsed() < Duration::from_secs(3));
    leave.notify_one();
    holder.await.unwrap().unwrap();
    db.close().await;
    assert_eq!(cluster.end().await, 0);
}

#[tokio::test]
async fn a_server_that_ended_every_session_is_found_again() {
    let Some(cluster) = Cluster::of(1).await else {
        return;
    };
    let world = Arc::clone(&cluster.worlds[0]);
    let held = world.held().await;
    let run = world.waiting(1, 1).await;
    let journal = Journal::start(world.store.clone(), outlet().0);
    cluster.hang_up().await;
    // Reads fail once for each connection that is gone; nobody hangs, and no decision is made twice.
    let start = Instant::now();
    let deciding = world.deciding(run, approve(1));
    let decided = loop {
        match world.store.decide(&deciding).await {
            Err(StoreError::Unavailable(_)) => {}
            decided => break decided.unwrap(),
        }
    };
    assert!(matches!(decided, Decided::Done { .. }), "{decided:?}");
    let record = hold(vec![completed(held.run, 0, "x")]);
    let pending = journal.push(entry(&held, held.inbox_seq, record)).await;
    assert!(pending.unwrap().await.1.unwrap().held);
    assert!(start.elapsed() < Duration::from_secs(3));
    journal.close().await;
    assert_eq!(cluster.end().await, 0);
}

/// What the server says, as it says it, comes to what can be done about it.
#[tokio::test]
async fn errors_of_the_server_are_sorted() {
    let Some(cluster) = Cluster::of(1).await else {
        return;
    };
    let db = cluster.worlds[0].db().unwrap();
    for (code, sorted) in [
        ("53100", "Full"),
        ("53200", "Full"),
        ("40001", "Busy"),
        ("40P01", "Busy"),
        ("55P03", "Busy"),
        ("57014", "Busy"),
        ("22021", "Refused"),
        ("23505", "Refused"),
        ("54000", "Refused"),
        ("57P03", "Unavailable"),
    ] {
        let raise = format!("DO $$ BEGIN RAISE EXCEPTION 'x' USING ERRCODE = '{code}'; END $$");
        let failed = db
            .unit::<(), StoreError, _>(|tx| {
                Box::pin(async move {
                    tx.execute_unprepared(&raise).await?;
                    Ok(())
                })
            })
            .await
            .unwrap_err();
        assert!(
            format!("{failed:?}").starts_with(sorted),
            "{code}: {failed:?}"
        );
    }
    assert_eq!(cluster.end().await, 0);
}
