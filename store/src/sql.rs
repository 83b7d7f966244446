//! The store in SQL, for SQLite and Postgres: plain statements with bound values, written once for both.
//! What differs is said where it differs: row locks and the clock.

mod batch;
mod chunk;
mod claim;
mod create;
mod decide;
mod ending;
mod keeper;
mod outbox;
mod plan;
mod row;
mod worker;

use std::sync::Arc;
use std::time::Duration;

pub use create::insert_run;
pub use decide::decide_within;

use async_trait::async_trait;
use moka::sync::Cache;
use neena_engine::ids::{ClaimId, RunId, WorkerId};
use neena_engine::plan::{Graph, Plan};
use neena_engine::run::History;
use neena_engine::{Hash, Micros};
use sea_orm::{ConnectionTrait, DatabaseBackend, ExecResult, QueryResult, Statement, Value};
use uuid::Uuid;

use crate::writer::Lane;
use crate::{
    Batch, Beat, Claim, Db, Decided, Deciding, Held, Hosts, Member, Message, Res, Store, Verdict,
    Which, WorkerCard,
};

/// Graphs kept parsed, by the bytes of their texts.
const GRAPHS: u64 = 64 << 20;
/// Claims known to have noted their run's start.
const STARTED: u64 = 10_000;

/// Runs in a database.
#[derive(Clone, Debug)]
pub struct SqlStore {
    db: Db,
    graphs: Cache<Hash, Arc<Graph>>,
    started: Cache<ClaimId, ()>,
}

impl SqlStore {
    /// The store over a migrated database.
    pub fn new(db: Db) -> SqlStore {
        SqlStore {
            db,
            graphs: Cache::new(GRAPHS),
            started: Cache::new(STARTED),
        }
    }

    /// The database underneath.
    pub fn db(&self) -> &Db {
        &self.db
    }
}

#[async_trait]
impl Store for SqlStore {
    async fn join(&self, card: &WorkerCard) -> Res<Micros> {
        let card = card.clone();
        self.db.lazy(|tx| Box::pin(worker::join(tx, card))).await
    }

    async fn advertise(&self, worker: WorkerId, hosts: &Hosts) -> Res<()> {
        let hosts = worker::hosts_text(hosts);
        self.db
            .lazy(move |tx| Box::pin(worker::advertise(tx, worker, hosts)))
            .await
    }

    async fn roster(&self) -> Res<Vec<Member>> {
        worker::roster(self.db.reader()).await
    }

    async fn beat(&self, worker: WorkerId, lease: Duration) -> Res<Beat> {
        self.db
            .lazy(move |tx| Box::pin(worker::beat(tx, worker, lease)))
            .await
    }

    async fn leave(&self, worker: WorkerId) -> Res<()> {
        self.db
            .unit(move |tx| Box::pin(worker::leave(tx, worker)))
            .await
    }

    async fn claim(&self, claim: &Claim, which: Which<'_>) -> Res<Vec<Held>> {
        let claim = *claim;
        match which {
            Which::Named([]) | Which::Next(0) => Ok(Vec::new()),
            Which::Named(runs) => {
                let runs = runs.to_vec();
                self.db
                    .lazy(move |tx| Box::pin(claim::named(tx, claim, runs)))
                    .await
            }
            Which::Next(limit) => {
                if !claim::any(self.db.reader()).await? {
                    return Ok(Vec::new());
                }
                self.db
                    .lazy(move |tx| Box::pin(claim::next(tx, claim, limit)))
                    .await
            }
        }
    }

    async fn plan(&self, run: RunId) -> Res<Arc<Plan>> {
        plan::plan(self.db.reader(), &self.graphs, run).await
    }

    async fn load(&self, run: RunId) -> Res<History> {
        plan::history(self.db.reader(), run).await
    }

    async fn reread(&self, run: RunId, claim: ClaimId) -> Res<Option<Held>> {
        claim::reread(self.db.reader(), run, claim).await
    }

    async fn current(&self, claims: &[(RunId, i64)]) -> Res<Vec<bool>> {
        claim::current(self.db.reader(), claims).await
    }

    async fn commit(&self, batch: &Batch) -> Res<Vec<Verdict>> {
        let lane = if batch.durable {
            Lane::Urgent
        } else {
            Lane::Lazy
        };
        let rows = batch
            .entries
            .iter()
            .map(|entry| entry.record.rows.len() + 1)
            .sum();
        let (copy, started) = (batch.clone(), self.started.clone());
        let verdicts = self
            .db
            .run(lane, rows, |tx| Box::pin(batch::commit(tx, copy, started)))
            .await?;
        for (entry, verdict) in batch.entries.iter().zip(&verdicts) {
            if verdict.held && !entry.record.rows.is_empty() {
                self.started.insert(entry.claim, ());
            }
        }
        Ok(verdicts)
    }

    async fn decide(&self, deciding: &Deciding) -> Res<Decided> {
        let Some(terms) = decide::terms(self, deciding).await? else {
            return Ok(Decided::NotFound);
        };
        let deciding = deciding.clone();
        self.db
            .unit(|tx| Box::pin(decide::decide(tx, deciding, terms)))
            .await
    }

    async fn wake(&self, limit: u16) -> Res<Vec<Message>> {
        if !keeper::any_due(self.db.reader()).await? {
            return Ok(Vec::new());
        }
        self.db
            .lazy(move |tx| Box::pin(keeper::wake(tx, limit)))
            .await
    }

    async fn due_within(&self, time: Duration, limit: u16) -> Res<Vec<Micros>> {
        keeper::due_within(self.db.reader(), time, limit).await
    }

    async fn bury(&self, limit: u16) -> Res<Vec<Message>> {
        if !keeper::any_lapsed(self.db.reader()).await? {
            return Ok(Vec::new());
        }
        self.db
            .lazy(move |tx| Box::pin(keeper::bury(tx, limit)))
            .await
    }

    async fn bury_all(&self) -> Res<Vec<Message>> {
        self.db.unit(|tx| Box::pin(keeper::bury_all(tx))).await
    }

    async fn outbox_take(&self, limit: u16) -> Res<Vec<Message>> {
        if !outbox::any_due(self.db.reader()).await? {
            return Ok(Vec::new());
        }
        self.db
            .lazy(move |tx| Box::pin(outbox::take(tx, limit)))
            .await
    }

    async fn outbox_done(&self, ids: &[Uuid]) -> Res<()> {
        if ids.is_empty() {
            return Ok(());
        }
        let ids = ids.to_vec();
        self.db
            .lazy(move |tx| Box::pin(outbox::done(tx, ids)))
            .await
    }

    async fn now(&self) -> Res<Micros> {
        self.db.now().await
    }
}

/// How a SELECT takes its rows for itself; SQLite's writer is alone anyway.
fn for_update(connection: &impl ConnectionTrait) -> &'static str {
    match connection.get_database_backend() {
        DatabaseBackend::Postgres => " FOR NO KEY UPDATE",
        _ => "",
    }
}

/// Like [`for_update`], leaving out rows that others hold.
fn skip_locked(connection: &impl ConnectionTrait) -> &'static str {
    match connection.get_database_backend() {
        DatabaseBackend::Postgres => " FOR NO KEY UPDATE SKIP LOCKED",
        _ => "",
    }
}

async fn execute(
    connection: &impl ConnectionTrait,
    sql: impl Into<String>,
    values: impl IntoIterator<Item = Value>,
) -> Res<ExecResult> {
    let backend = connection.get_database_backend();
    Ok(connection
        .execute_raw(Statement::from_sql_and_values(backend, sql, values))
        .await?)
}

async fn all(
    connection: &impl ConnectionTrait,
    sql: impl Into<String>,
    values: impl IntoIterator<Item = Value>,
) -> Res<Vec<QueryResult>> {
    let backend = connection.get_database_backend();
    Ok(connection
        .query_all_raw(Statement::from_sql_and_values(backend, sql, values))
        .await?)
}

async fn one(
    connection: &impl ConnectionTrait,
    sql: impl Into<String>,
    values: impl IntoIterator<Item = Value>,
) -> Res<Option<QueryResult>> {
    let backend = connection.get_database_backend();
    Ok(connection
        .query_one_raw(Statement::from_sql_and_values(backend, sql, values))
        .await?)
}
