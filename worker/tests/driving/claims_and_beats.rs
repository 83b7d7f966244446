//! Claims and beats that cross, on a real database and real threads.

use std::sync::Arc;
use std::time::{Duration, Instant};

use neena_bus::{Bus, InProcess, Relay};
use neena_engine::ids::{FlowRequestId, OrganizationId, RunId};
use neena_store::{
    Db, Decided, Deciding, Durability, Journal, NewRun, SqlStore, Store, insert_run,
};
use neena_worker::executors::Executors;
use neena_worker::{DatabaseClock, Seams, Settings, Worker};
use uuid::Uuid;

use crate::harness::{approve, plan, step};
use crate::scripted::Scripted;

/// A beat that was answered together with a claim once gave the claimed run back, and its tasks ran twice.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_beat_gives_back_no_run_whose_claim_was_just_answered() {
    let dir = tempfile::tempdir().unwrap();
    let db = Db::sqlite(&dir.path().join("neena.db"), Durability::Fast)
        .await
        .unwrap();
    db.migrate().await.unwrap();
    let store: Arc<dyn Store> = Arc::new(SqlStore::new(db.clone()));
    let bus: Arc<dyn Bus> = Arc::new(InProcess::new());
    let (outlet, _relay) = Relay::start(store.clone(), bus.clone());
    let journal = Journal::start(store.clone(), outlet.clone());
    let script = Scripted::new();
    let settings = Settings {
        name: "test".into(),
        slots: 64,
        runs: 256,
        // Seven beats a second.
        lease: Duration::from_millis(500),
        grace: Duration::from_secs(1),
    };
    let clock = Arc::new(DatabaseClock::new(store.now().await.unwrap()));
    let executors = Arc::new(Executors::with_python(script.clone()));
    let seams = Seams {
        store: store.clone(),
        bus,
        tasks: None,
        journal: journal.clone(),
        executors,
        clock,
    };
    let worker = Worker::start(settings, seams);
    let worker = worker.await.unwrap();
    let plan = plan(&[step("echo", &[])], None);
    let until = Instant::now() + Duration::from_secs(4);
    let mut runs = 0;
    while Instant::now() < until {
        let together: Vec<_> = (0..8)
            .map(|_| {
                let (db, store, outlet) = (db.clone(), store.clone(), outlet.clone());
                let run = RunId(Uuid::now_v7());
                let new = NewRun::new(run, FlowRequestId(Uuid::nil()), plan.clone(), None);
                let new = new.unwrap();
                tokio::spawn(async move {
                    db.unit(move |tx| Box::pin(async move { insert_run(tx, &new).await }))
                        .await
                        .unwrap();
                    let deciding = Deciding {
                        run,
                        organization: OrganizationId(Uuid::nil()),
                        decision: approve(),
                        code_current: true,
                    };
                    match store.decide(&deciding).await.unwrap() {
                        Decided::Done { outbox, .. } => outlet.hand(outbox),
                        other => panic!("{other:?}"),
                    }
                })
            })
            .collect();
        runs += together.len();
        for one in together {
            one.await.unwrap();
        }
    }
    let deadline = Instant::now() + Duration::from_secs(30);
    while (script.seen().begun.get(&0).copied().unwrap_or(0) as usize) < runs || worker.held() > 0 {
        assert!(Instant::now() < deadline, "not all runs have ended");
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    worker.stop().await.unwrap();
    journal.close().await;
    assert_eq!(
        script.seen().begun[&0] as usize,
        runs,
        "each task began once"
    );
}
