//! A store whose commits can be held back, fail as told, and refuse marked data.

use std::collections::VecDeque;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use async_trait::async_trait;
use neena_engine::Micros;
use neena_engine::approval::Ask;
use neena_engine::ids::{ClaimId, RunId, WorkerId};
use neena_engine::plan::Plan;
use neena_engine::run::History;
use neena_store::{
    Batch, Beat, Claim, Decided, Deciding, Held, Hosts, Lapsed, Member, Message, Res, Store,
    StoreError, Verdict, Which, WorkerCard,
};
use tokio::sync::Semaphore;
use uuid::Uuid;

/// A result that holds this is refused.
pub const UNSTORABLE: &str = "unstorable";

/// What happens to a commit.
#[derive(Debug)]
pub enum Fault {
    /// It fails and nothing is written.
    Before(StoreError),
    /// It is written, and then fails.
    After(StoreError),
}

/// A store over another one.
#[derive(Debug)]
pub struct Scripted {
    inner: Arc<dyn Store>,
    script: Mutex<VecDeque<Fault>>,
    /// Every batch that was tried: rows per entry, and whether it was durable.
    tried: Mutex<Vec<(Vec<usize>, bool)>>,
    gate: Semaphore,
}

impl Scripted {
    /// A store whose commits go through.
    pub fn new(inner: Arc<dyn Store>) -> Arc<Scripted> {
        Arc::new(Scripted {
            inner,
            script: Mutex::default(),
            tried: Mutex::default(),
            gate: Semaphore::new(1_000_000),
        })
    }

    /// A store that holds its commits back until [`Scripted::open`].
    pub fn shut(inner: Arc<dyn Store>) -> Arc<Scripted> {
        let store = Scripted::new(inner);
        store.gate.forget_permits(1_000_000);
        store
    }

    /// Lets so many commits through.
    pub fn open(&self, commits: usize) {
        self.gate.add_permits(commits);
    }

    pub fn then(&self, faults: impl IntoIterator<Item = Fault>) {
        self.script.lock().unwrap().extend(faults);
    }

    /// Every batch that was tried: rows per entry, and whether it was durable.
    pub fn tried(&self) -> Vec<(Vec<usize>, bool)> {
        self.tried.lock().unwrap().clone()
    }
}

#[async_trait]
impl Store for Scripted {
    async fn join(&self, card: &WorkerCard) -> Res<Micros> {
        self.inner.join(card).await
    }

    async fn advertise(&self, worker: WorkerId, hosts: &Hosts) -> Res<()> {
        self.inner.advertise(worker, hosts).await
    }

    async fn roster(&self) -> Res<Vec<Member>> {
        self.inner.roster().await
    }

    async fn current(&self, claims: &[(RunId, i64)]) -> Res<Vec<bool>> {
        self.inner.current(claims).await
    }

    async fn due_within(&self, time: Duration, limit: u16) -> Res<Vec<Micros>> {
        self.inner.due_within(time, limit).await
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
        self.inner.plan(run).await
    }

    async fn load(&self, run: RunId) -> Res<History> {
        self.inner.load(run).await
    }

    async fn reread(&self, run: RunId, claim: ClaimId) -> Res<Option<Held>> {
        self.inner.reread(run, claim).await
    }

    async fn commit(&self, batch: &Batch) -> Res<Vec<Verdict>> {
        let rows = batch
            .entries
            .iter()
            .map(|entry| entry.record.rows.len())
            .collect();
        self.tried.lock().unwrap().push((rows, batch.durable));
        self.gate.acquire().await.unwrap().forget();
        let fault = self.script.lock().unwrap().pop_front();
        if let Some(Fault::Before(error)) = fault {
            return Err(error);
        }
        let mut rows = batch.entries.iter().flat_map(|entry| &entry.record.rows);
        let marked = rows.any(|row| {
            row.result
                .as_ref()
                .is_some_and(|json| json.text().contains(UNSTORABLE))
        });
        if marked {
            return Err(StoreError::Refused("marked".into()));
        }
        let verdicts = self.inner.commit(batch).await?;
        match fault {
            Some(Fault::After(error)) => Err(error),
            _ => Ok(verdicts),
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
