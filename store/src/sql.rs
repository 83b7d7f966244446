//! The store in SQL, for SQLite and Postgres: plain statements with bound values, written once for both.
//! What differs is said where it differs: row locks and the clock.

mod asks;
mod batch;
mod case;
mod census;
mod change;
mod chunk;
mod claim;
mod columns;
mod commit;
mod create;
mod decide;
mod ending;
mod keeper;
mod log;
mod outbox;
mod plan;
mod replan;
mod roles;
mod row;
mod script;
mod seal;
mod settled;
mod statement;
mod worker;

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use case::Case;
pub use create::{insert_run, insert_runs};
pub use decide::decide_all_within;
pub use roles::roles;
pub use statement::encoded;

use async_trait::async_trait;
use moka::sync::Cache;
use neena_engine::approval::Ask;
use neena_engine::flow::Catalogue;
use neena_engine::ids::{ClaimId, RunId, TaskDefinitionId, WorkerId};
use neena_engine::plan::{Graph, Plan};
use neena_engine::run::History;
use neena_engine::{Hash, Micros};
use sea_orm::{ConnectionTrait, DatabaseBackend, ExecResult, QueryResult, Statement, Value};
use uuid::Uuid;

use crate::queries::catalogue;
use crate::writer::Lane;
use crate::{
    Batch, Beat, Census, Claim, Db, Decided, Deciding, Held, Hosts, Lapsed, Member, Message, Res,
    Store, Verdict, Which, WorkerCard,
};

/// Graphs kept parsed, by the bytes of their texts.
const GRAPHS: u64 = 64 << 20;
/// A run under one claim: several runs may be claimed at once.
type Hold = (RunId, ClaimId);

/// Holds known to have noted their run's start, and that they got somewhere.
const STARTED: u64 = 10_000;

/// Runs in a database.
#[derive(Clone, Debug)]
pub struct SqlStore {
    db: Db,
    graphs: Cache<Hash, Arc<Graph>>,
    started: Cache<Hold, ()>,
    /// Holds under which something was committed lazily, and the journal's connections then.
    lazily: Cache<Hold, u64>,
}

impl SqlStore {
    /// The store over a migrated database.
    pub fn new(db: Db) -> SqlStore {
        SqlStore {
            db,
            graphs: Cache::new(GRAPHS),
            started: Cache::new(STARTED),
            lazily: Cache::new(STARTED),
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
        // Durable: a worker that a crash of the database forgot would own runs that nobody frees.
        let card = card.clone();
        self.db.count(true);
        self.db
            .single(Lane::Api, |on| {
                Box::pin(async move { worker::join(&on, card).await })
            })
            .await
    }

    async fn advertise(&self, worker: WorkerId, hosts: &Hosts) -> Res<()> {
        let hosts = worker::hosts_text(hosts);
        self.db.count(true);
        self.db
            .single(Lane::Api, move |on| {
                Box::pin(async move { worker::advertise(&on, worker, hosts).await })
            })
            .await
    }

    async fn roster(&self) -> Res<Vec<Member>> {
        worker::roster(self.db.reader()).await
    }

    async fn beat(&self, worker: WorkerId, lease: Duration) -> Res<Beat> {
        self.db.count(false);
        self.db
            .single(Lane::Beat, move |on| {
                Box::pin(async move { worker::beat(&on, worker, lease).await })
            })
            .await
    }

    async fn leave(&self, worker: WorkerId) -> Res<()> {
        self.db
            .unit(move |tx| Box::pin(worker::leave(tx, worker)))
            .await
    }

    async fn claim(&self, claim: &Claim, which: Which<'_>) -> Res<Vec<Held>> {
        let claim = *claim;
        let held = match which {
            Which::Named([]) | Which::Next(0) => return Ok(Vec::new()),
            Which::Named(runs) => {
                let runs = runs.to_vec();
                self.db
                    .single(Lane::Lazy, move |on| {
                        Box::pin(async move { claim::named(&on, claim, runs).await })
                    })
                    .await?
            }
            Which::Next(limit) => {
                // Most often there is none, and then SQLite's writer is left alone.
                if self.db.on_postgres().is_none() && !claim::any(self.db.reader()).await? {
                    return Ok(Vec::new());
                }
                self.db
                    .single(Lane::Lazy, move |on| {
                        Box::pin(async move { claim::next(&on, claim, limit).await })
                    })
                    .await?
            }
        };
        if !held.is_empty() {
            self.db.count(false);
        }
        Ok(held)
    }

    async fn plan(&self, run: RunId) -> Res<Arc<Plan>> {
        plan::plan(self.db.reader(), &self.graphs, run).await
    }

    async fn former_plan(&self, run: RunId) -> Res<Option<Arc<Plan>>> {
        plan::former(self.db.reader(), &self.graphs, run).await
    }

    async fn catalogue(&self, ids: &[TaskDefinitionId]) -> Res<Catalogue> {
        catalogue::known(self.db.reader(), ids.iter().copied()).await
    }

    async fn load(&self, run: RunId) -> Res<History> {
        fail::fail_point!("history.forgotten", |_| Ok(History::default()));
        plan::history(self.db.reader(), run).await
    }

    async fn reread(&self, run: RunId, claim: ClaimId) -> Res<Option<Held>> {
        claim::reread(self.db.reader(), run, claim).await
    }

    async fn current(&self, claims: &[(RunId, i64)]) -> Res<Vec<bool>> {
        claim::current(self.db.reader(), claims).await
    }

    async fn commit(&self, batch: &Batch) -> Res<Vec<Verdict>> {
        self.commit_batch(batch).await
    }

    async fn plans(&self, runs: &[RunId]) -> Res<HashMap<RunId, Arc<Plan>>> {
        plan::plans(self.db.reader(), &self.graphs, runs).await
    }

    async fn decide(&self, deciding: &Deciding) -> Res<Decided> {
        let Some(terms) = case::terms(self, deciding).await? else {
            return Ok(Decided::NotFound);
        };
        let case = Case::new(deciding.clone(), terms);
        let decided = settled::decide(&self.db, vec![case]).await?.pop();
        Ok(decided.unwrap_or(Decided::NotFound))
    }

    async fn decide_all(&self, all: &[(Deciding, Arc<Plan>)]) -> Res<Vec<Decided>> {
        let case = |(deciding, plan): &(Deciding, Arc<Plan>)| Case::of(deciding.clone(), plan);
        settled::decide(&self.db, all.iter().map(case).collect()).await
    }

    async fn gates(&self, run: RunId) -> Res<Vec<Ask>> {
        asks::gates(self.db.reader(), run).await
    }

    async fn lapsed(&self, limit: u16) -> Res<Vec<Lapsed>> {
        asks::lapsed(self.db.reader(), limit).await
    }

    async fn seal(&self, limit: u64) -> Res<u64> {
        seal::seal(&self.db, limit).await
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
        fail::fail_point!("keeper.buries_nobody", |_| Ok(Vec::new()));
        if !keeper::any_lapsed(self.db.reader()).await? {
            return Ok(Vec::new());
        }
        self.db
            .unit(move |tx| Box::pin(keeper::bury(tx, limit)))
            .await
    }

    async fn bury_all(&self) -> Res<Vec<Message>> {
        self.db.unit(|tx| Box::pin(keeper::bury_all(tx))).await
    }

    async fn outbox_take(&self, limit: u16) -> Res<Vec<Message>> {
        if self.db.on_postgres().is_none() && !outbox::any_due(self.db.reader()).await? {
            return Ok(Vec::new());
        }
        let taken = self
            .db
            .single(Lane::Lazy, move |on| {
                Box::pin(async move { outbox::take(&on, limit).await })
            })
            .await?;
        if !taken.is_empty() {
            self.db.count(false);
        }
        Ok(taken)
    }

    async fn outbox_done(&self, ids: &[Uuid]) -> Res<()> {
        if ids.is_empty() {
            return Ok(());
        }
        let ids = ids.to_vec();
        self.db.count(false);
        self.db
            .single(Lane::Lazy, move |on| {
                Box::pin(async move { outbox::done(&on, ids).await })
            })
            .await
    }

    async fn census(&self) -> Res<Census> {
        census::census(self.db.reader()).await
    }

    async fn now(&self) -> Res<Micros> {
        self.db.now().await
    }
}

/// How a SELECT takes its rows for itself on Postgres.
const FOR_UPDATE: &str = " FOR NO KEY UPDATE";

/// How a SELECT takes its rows for itself; SQLite's writer is alone anyway.
fn for_update(connection: &impl ConnectionTrait) -> &'static str {
    match connection.get_database_backend() {
        DatabaseBackend::Postgres => FOR_UPDATE,
        _ => "",
    }
}

/// That a key is among those a statement finds. Said on Postgres so that it can only be looked up: as a join it may as
/// well be read through, and is, by statistics taken while the table was empty.
fn among(connection: &impl ConnectionTrait, found: &str) -> String {
    match connection.get_database_backend() {
        DatabaseBackend::Postgres => format!("= ANY (ARRAY({found}))"),
        _ => format!("IN ({found})"),
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
