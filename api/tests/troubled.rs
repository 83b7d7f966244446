//! Buses that are in trouble, and what a client notices of it: nothing.

use std::sync::Arc;
use std::time::{Duration, Instant};

use async_trait::async_trait;
use neena_bus::{Bus, BusError, InProcess, Inbox, Standing};
use neena_engine::ids::{ClaimId, RunId, WorkerId};
use neena_engine::plan::PLAN_V;
use neena_store::{Claim, Message, SqlStore, Store, Which, WorkerCard};
use tokio::sync::mpsc;
use uuid::Uuid;

use crate::harness::{Api, Setup};

/// What is wrong.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Trouble {
    /// Every call fails at once.
    Fails,
    /// No call ever ends.
    Hangs,
}

#[derive(Debug)]
pub struct Troubled(Trouble, Standing);

impl Troubled {
    pub fn new(trouble: Trouble, standing: Standing) -> Troubled {
        Troubled(trouble, standing)
    }

    async fn trouble(&self) -> BusError {
        match self.0 {
            Trouble::Fails => BusError("it is away".to_owned()),
            Trouble::Hangs => std::future::pending().await,
        }
    }
}

#[async_trait]
impl Bus for Troubled {
    async fn publish(&self, _: &[Message]) -> Result<Vec<Uuid>, BusError> {
        Err(self.trouble().await)
    }

    async fn poke(&self, _: WorkerId, _: RunId) {
        self.trouble().await;
    }

    async fn consume(&self, _: WorkerId) -> Result<Box<dyn Inbox>, BusError> {
        Err(self.trouble().await)
    }

    async fn pokes(&self, _: WorkerId) -> mpsc::Receiver<RunId> {
        mpsc::channel(1).1
    }

    fn standing(&self) -> Standing {
        self.1.clone()
    }
}

/// Has a worker claim the run, so that whoever decides about it has somebody to poke.
async fn claim(api: &Api, run: Uuid) {
    let store = SqlStore::new(api.db.clone());
    let worker = WorkerId(Uuid::now_v7());
    let card = WorkerCard {
        id: worker,
        name: "test".to_owned(),
        slots: 1,
        lease: Duration::from_secs(60),
        hosts: Default::default(),
    };
    store.join(&card).await.unwrap();
    let claim = Claim {
        worker,
        id: ClaimId(Uuid::now_v7()),
        plan_v: PLAN_V,
        suspect: true,
    };
    let held = store
        .claim(&claim, Which::Named(&[RunId(run)]))
        .await
        .unwrap();
    assert_eq!(held.len(), 1);
}

/// How long making, approving and cancelling some claimed runs took.
async fn decisions(bus: Arc<dyn Bus>) -> Duration {
    let api = Api::start_with(Setup {
        bus,
        ..Setup::default()
    })
    .await;
    let token = api.token();
    let mut took = Duration::ZERO;
    for _ in 0..10 {
        let run = api.run().await;
        let start = Instant::now();
        let path = format!("/api/v1/flow_runs/approve?flow_run_id={run}");
        api.call("PUT", &path, &token, None).await.expect(200);
        took += start.elapsed();
        claim(&api, run).await;
        let start = Instant::now();
        let path = format!("/api/v1/flow_runs/cancel?flow_run_id={run}");
        api.call("PUT", &path, &token, None).await.expect(200);
        took += start.elapsed();
    }
    let waiting = api.count("SELECT count(*) FROM outbox").await;
    assert!(waiting >= 10, "every message waits in the outbox");
    took
}

#[tokio::test]
async fn decisions_are_answered_as_fast_without_the_broker() {
    let usual = decisions(Arc::new(InProcess::new())).await;
    for trouble in [Trouble::Fails, Trouble::Hangs] {
        let down = Standing::Down("it is away".to_owned());
        let took = decisions(Arc::new(Troubled::new(trouble, down))).await;
        // A single wait for the bus would be a second or more.
        let most = usual * 3 + Duration::from_millis(900);
        assert!(took < most, "{trouble:?}: {took:?} instead of {usual:?}");
    }
}
