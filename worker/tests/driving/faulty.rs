//! A store with faults: answers to joining are lost, so that the worker is written down and does not hear of it;
//! commits take until they are let through; plans are not found and nothing fits on the disk.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};
use std::time::Duration;

use async_trait::async_trait;
use neena_engine::Micros;
use neena_engine::approval::Ask;
use neena_engine::ids::{ClaimId, RunId, WorkerId};
use neena_engine::plan::Plan;
use neena_engine::run::History;
use neena_store::{
    Batch, Beat, Claim, Decided, Deciding, Held, Hosts, Lapsed, Member, MemoryStore, Message, Res,
    Store, StoreError, Verdict, Which, WorkerCard,
};
use tokio::sync::Semaphore;
use uuid::Uuid;

#[derive(Debug)]
pub struct Faulty {
    inner: Arc<MemoryStore>,
    /// Answers to joining that are still to be lost.
    pub joins: AtomicU32,
    /// Commits that may go through.
    pub commits: Semaphore,
    /// Whether the disk is full, and the database too busy with that to find plans.
    pub full: AtomicBool,
}

impl Faulty {
    /// Nothing is wrong with it yet.
    pub fn over(inner: Arc<MemoryStore>) -> Arc<Faulty> {
        Arc::new(Faulty {
            inner,
            joins: AtomicU32::new(0),
            commits: Semaphore::new(1_000),
            full: AtomicBool::new(false),
        })
    }

    fn is_full(&self) -> bool {
        self.full.load(Ordering::Relaxed)
    }
}

#[async_trait]
impl Store for Faulty {
    async fn join(&self, card: &WorkerCard) -> Res<Micros> {
        let joined = self.inner.join(card).await;
        let less = |lost: u32| lost.checked_sub(1);
        match self
            .joins
            .fetch_update(Ordering::Relaxed, Ordering::Relaxed, less)
        {
            Ok(_) => Err(StoreError::Unknown("as tested".into())),
            Err(_) => joined,
        }
    }

    async fn advertise(&self, worker: WorkerId, hosts: &Hosts) -> Res<()> {
        self.inner.advertise(worker, hosts).await
    }

    async fn roster(&self) -> Res<Vec<Member>> {
        self.inner.roster().await
    }

    async fn beat(&self, worker: WorkerId, lease: Duration) -> Res<Beat> {
        self.inner.beat(worker, lease).await
    }

    async fn leave(&self, worker: WorkerId) -> Res<()> {
        self.inner.leave(worker).await
    }

    async fn claim(&self, claim: &Claim, which: Which<'_>) -> Res<Vec<Held>> {
        self.inner.claim(claim, which).await
    }

    async fn plan(&self, run: RunId) -> Res<Arc<Plan>> {
        match self.is_full() {
            true => Err(StoreError::Unavailable("as tested".into())),
            false => self.inner.plan(run).await,
        }
    }

    async fn load(&self, run: RunId) -> Res<History> {
        self.inner.load(run).await
    }

    async fn reread(&self, run: RunId, claim: ClaimId) -> Res<Option<Held>> {
        self.inner.reread(run, claim).await
    }

    async fn current(&self, claims: &[(RunId, i64)]) -> Res<Vec<bool>> {
        self.inner.current(claims).await
    }

    async fn commit(&self, batch: &Batch) -> Res<Vec<Verdict>> {
        self.commits.acquire().await.unwrap().forget();
        match self.is_full() {
            true => Err(StoreError::Full("as tested".into())),
            false => self.inner.commit(batch).await,
        }
    }

    async fn decide(&self, deciding: &Deciding) -> Res<Decided> {
        self.inner.decide(deciding).await
    }

    async fn gates(&self, run: RunId) -> Res<Vec<Ask>> {
        self.inner.gates(run).await
    }

    async fn lapsed(&self, limit: u16) -> Res<Vec<Lapsed>> {
        self.inner.lapsed(limit).await
    }

    async fn wake(&self, limit: u16) -> Res<Vec<Message>> {
        self.inner.wake(limit).await
    }

    async fn due_within(&self, time: Duration, limit: u16) -> Res<Vec<Micros>> {
        self.inner.due_within(time, limit).await
    }

    async fn bury(&self, limit: u16) -> Res<Vec<Message>> {
        self.inner.bury(limit).await
    }

    async fn bury_all(&self) -> Res<Vec<Message>> {
        self.inner.bury_all().await
    }

    async fn outbox_take(&self, limit: u16) -> Res<Vec<Message>> {
        self.inner.outbox_take(limit).await
    }

    async fn outbox_done(&self, ids: &[Uuid]) -> Res<()> {
        self.inner.outbox_done(ids).await
    }

    async fn now(&self) -> Res<Micros> {
        self.inner.now().await
    }
}
