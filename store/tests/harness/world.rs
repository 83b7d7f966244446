//! A fresh store and the ways to look into it.

use std::sync::Arc;
use std::time::Duration;

use neena_engine::Micros;
use neena_engine::ids::{FlowRequestId, OrganizationId, RunId, WorkerId};
use neena_engine::run::{Decision, Record};
use neena_store::entities::{flow_result, flow_run, outbox, task_attempt};
use neena_store::{
    Batch, Db, Decided, Deciding, Flaw, Held, MemoryStore, NewRun, SqlStore, Store, StoreError,
    Verdict, Which, WorkerCard,
};
use sea_orm::{ColumnTrait, ConnectionTrait, Database, EntityTrait, QueryFilter, QueryOrder};
use tempfile::TempDir;
use uuid::Uuid;

use super::{approve, claim, entry, plan, sqlite};

/// A store with nothing in it, one organization, and people named by numbers.
#[derive(Debug)]
pub struct World {
    pub store: Arc<dyn Store>,
    kind: Kind,
    pub organization: OrganizationId,
}

#[derive(Debug)]
enum Kind {
    Memory(Arc<MemoryStore>),
    Sql { db: Db, _dir: Option<TempDir> },
}

/// A run's row, as far as tests look.
#[derive(Debug, PartialEq)]
pub struct Row {
    pub status: String,
    pub approval_status: Option<String>,
    pub epoch: i64,
    pub round: i64,
    pub started: bool,
    pub ended: bool,
    pub reason: Option<String>,
}

/// A row of `task_attempts`: round, index, attempt.
pub type Attempted = (i64, i64, i64);

/// A schema of its own on a Postgres shared by all tests.
#[derive(Debug)]
pub struct Schema {
    url: String,
    name: String,
}

impl Schema {
    /// Where it is, as a URL.
    pub fn url(&self) -> String {
        let mark = if self.url.contains('?') { '&' } else { '?' };
        format!("{}{mark}options[search_path]={}", self.url, self.name)
    }

    pub async fn remove(self) {
        let admin = Database::connect(&self.url).await.unwrap();
        admin
            .execute_unprepared(&format!("DROP SCHEMA {} CASCADE", self.name))
            .await
            .unwrap();
    }
}

impl World {
    pub fn in_memory() -> World {
        let store = Arc::new(MemoryStore::new());
        World {
            store: store.clone(),
            kind: Kind::Memory(store),
            organization: organization(),
        }
    }

    /// The store in memory, with a bug.
    pub fn in_memory_with(flaw: Flaw) -> World {
        let store = Arc::new(MemoryStore::that_crashes(Some(flaw)));
        World {
            store: store.clone(),
            kind: Kind::Memory(store),
            organization: organization(),
        }
    }

    /// A store over a migrated database.
    pub fn over(db: Db) -> World {
        World::on(db, None)
    }

    pub async fn on_sqlite() -> World {
        let sqlite = sqlite().await;
        World::on(sqlite.db, Some(sqlite.dir))
    }

    /// None unless a Postgres is named.
    pub async fn on_postgres() -> Option<(World, Schema)> {
        let url = std::env::var("NEENA_TEST_DATABASE_URL").ok()?;
        let name = format!("t_{}", Uuid::now_v7().simple());
        let admin = Database::connect(&url).await.unwrap();
        admin
            .execute_unprepared(&format!("CREATE SCHEMA {name}"))
            .await
            .unwrap();
        admin.close().await.unwrap();
        let schema = Schema { url, name };
        let db = Db::postgres(&schema.url()).await.unwrap();
        db.migrate().await.unwrap();
        Some((World::on(db, None), schema))
    }

    fn on(db: Db, dir: Option<TempDir>) -> World {
        World {
            store: Arc::new(SqlStore::new(db.clone())),
            kind: Kind::Sql { db, _dir: dir },
            organization: organization(),
        }
    }

    /// The database, where there is one.
    pub fn db(&self) -> Option<&Db> {
        match &self.kind {
            Kind::Memory(_) => None,
            Kind::Sql { db, .. } => Some(db),
        }
    }

    /// The store in memory, where it is that.
    pub fn memory(&self) -> Option<&MemoryStore> {
        match &self.kind {
            Kind::Memory(store) => Some(store),
            Kind::Sql { .. } => None,
        }
    }

    /// A run of `tasks` tasks that waits for `quorum` approvals.
    pub async fn waiting(&self, tasks: u32, quorum: u32) -> RunId {
        let run = RunId(Uuid::now_v7());
        self.insert(run, tasks, quorum).await;
        run
    }

    /// Makes that very run.
    pub async fn insert(&self, run: RunId, tasks: u32, quorum: u32) {
        let new = self.new_run(run, tasks, quorum);
        match &self.kind {
            Kind::Memory(store) => store.insert_run(&new),
            Kind::Sql { db, .. } => db
                .unit::<_, StoreError, _>(|tx| {
                    Box::pin(async move { neena_store::insert_run(tx, &new).await })
                })
                .await
                .unwrap(),
        }
    }

    /// A run to be made.
    pub fn new_run(&self, run: RunId, tasks: u32, quorum: u32) -> NewRun {
        let plan = plan(self.organization.0, tasks, quorum);
        NewRun::new(run, FlowRequestId(Uuid::nil()), plan, None).unwrap()
    }

    /// An approved run of three tasks.
    pub async fn ready(&self) -> RunId {
        let run = self.waiting(3, 1).await;
        let decided = self.decide(run, approve(1)).await;
        assert!(matches!(decided, Decided::Done { .. }), "{decided:?}");
        run
    }

    /// A run that a new worker holds.
    pub async fn held(&self) -> Held {
        let run = self.ready().await;
        self.take(run).await.unwrap()
    }

    /// A new worker.
    pub async fn worker(&self, lease: Duration) -> WorkerId {
        let id = WorkerId(Uuid::now_v7());
        let card = WorkerCard {
            id,
            name: "tester".into(),
            slots: 4,
            lease,
            hosts: Default::default(),
        };
        self.store.join(&card).await.unwrap();
        id
    }

    /// A new worker claims a run.
    pub async fn take(&self, run: RunId) -> Option<Held> {
        let worker = self.worker(Duration::from_secs(10)).await;
        self.take_as(worker, run).await
    }

    pub async fn take_as(&self, worker: WorkerId, run: RunId) -> Option<Held> {
        let claim = claim(worker);
        let held = self
            .store
            .claim(&claim, Which::Named(&[run]))
            .await
            .unwrap();
        assert!(held.iter().all(|held| held.claim == claim.id));
        held.into_iter().next()
    }

    pub async fn decide(&self, run: RunId, decision: Decision) -> Decided {
        self.store
            .decide(&self.deciding(run, decision))
            .await
            .unwrap()
    }

    pub fn deciding(&self, run: RunId, mut decision: Decision) -> Deciding {
        if let Decision::Approve(say) | Decision::Reject(say) = &mut decision {
            say.comment = Some("as tested".into());
        }
        Deciding {
            run,
            organization: self.organization,
            decision,
            code_current: true,
        }
    }

    /// Commits a record of the run's owner, durably.
    pub async fn record(&self, held: &Held, record: Record) -> Verdict {
        self.record_seen(held, held.inbox_seq, record).await
    }

    pub async fn record_seen(&self, held: &Held, seen: i64, record: Record) -> Verdict {
        let batch = Batch {
            entries: vec![entry(held, seen, record)],
            durable: true,
        };
        let mut verdicts = self.store.commit(&batch).await.unwrap();
        assert_eq!(verdicts.len(), 1);
        verdicts.pop().unwrap()
    }

    /// Statuses of the run's recorded tasks, by index, with their attempts and those before.
    pub async fn tasks(&self, run: RunId) -> Vec<(u32, &'static str, u32, u32)> {
        let history = self.store.load(run).await.unwrap();
        let rows = history.rows.iter();
        rows.map(|row| {
            (
                row.key.index,
                row.status.as_str(),
                row.attempt,
                row.attempts_before,
            )
        })
        .collect()
    }

    pub async fn row(&self, run: RunId) -> Row {
        match &self.kind {
            Kind::Memory(store) => {
                let state = store.run(run).unwrap();
                Row {
                    status: state.run.status.to_string(),
                    approval_status: state.run.approval_status.map(|status| status.to_string()),
                    epoch: state.run.epoch,
                    round: i64::from(state.run.round),
                    started: state.start_time.is_some(),
                    ended: state.end_time.is_some(),
                    reason: state.reason.map(|reason| reason.to_string()),
                }
            }
            Kind::Sql { db, .. } => {
                let row = flow_run::Entity::find_by_id(run.0)
                    .one(db.reader())
                    .await
                    .unwrap()
                    .unwrap();
                Row {
                    status: row.status,
                    approval_status: row.approval_status,
                    epoch: row.epoch,
                    round: i64::from(row.round),
                    started: row.start_time.is_some(),
                    ended: row.end_time.is_some(),
                    reason: row.reason,
                }
            }
        }
    }

    pub async fn result(&self, run: RunId) -> Option<String> {
        match &self.kind {
            Kind::Memory(store) => store.result(run).map(|body| body.to_string()),
            Kind::Sql { db, .. } => {
                let row = flow_result::Entity::find_by_id(run.0)
                    .one(db.reader())
                    .await
                    .unwrap();
                row.map(|row| row.body)
            }
        }
    }

    pub async fn attempts(&self, run: RunId) -> Vec<Attempted> {
        match &self.kind {
            Kind::Memory(store) => {
                let attempts = store.attempts(run).into_iter();
                let mut attempts: Vec<Attempted> = attempts
                    .map(|(round, of)| (round.into(), of.key.index.into(), of.attempt.into()))
                    .collect();
                attempts.sort_unstable();
                attempts
            }
            Kind::Sql { db, .. } => {
                let rows = task_attempt::Entity::find()
                    .filter(task_attempt::Column::RunId.eq(run.0))
                    .all(db.reader())
                    .await
                    .unwrap();
                let mut attempts: Vec<Attempted> = rows
                    .iter()
                    .map(|row| (row.round.into(), row.idx, row.attempt))
                    .collect();
                attempts.sort_unstable();
                attempts
            }
        }
    }

    /// Types of the messages about a run in the outbox, oldest first.
    pub async fn outbox(&self, run: RunId) -> Vec<String> {
        match &self.kind {
            Kind::Memory(store) => {
                let about = store
                    .outbox()
                    .into_iter()
                    .filter(|message| message.run == run);
                about.map(|message| message.kind).collect()
            }
            Kind::Sql { db, .. } => {
                let rows = outbox::Entity::find()
                    .filter(outbox::Column::RunId.eq(run.0))
                    .order_by_asc(outbox::Column::Id)
                    .all(db.reader())
                    .await
                    .unwrap();
                rows.into_iter().map(|row| row.kind).collect()
            }
        }
    }

    /// Lets so much time pass that every message in the outbox is overdue.
    pub async fn let_messages_grow_old(&self) {
        match &self.kind {
            Kind::Memory(_) => tokio::time::advance(Duration::from_secs(6)).await,
            Kind::Sql { db, .. } => db
                .unit::<(), StoreError, _>(|tx| {
                    Box::pin(async move {
                        tx.execute_unprepared("UPDATE outbox SET try_after = 1")
                            .await?;
                        Ok(())
                    })
                })
                .await
                .unwrap(),
        }
    }

    /// Waits until the store's clock has moved on.
    pub async fn next_moment(&self) {
        let now = self.store.now().await.unwrap();
        while self.store.now().await.unwrap() <= now {
            if matches!(self.kind, Kind::Memory(_)) {
                tokio::time::advance(Duration::from_micros(1)).await;
            }
        }
    }

    pub async fn now(&self) -> Micros {
        self.store.now().await.unwrap()
    }
}

fn organization() -> OrganizationId {
    OrganizationId(Uuid::from_u128(99))
}
