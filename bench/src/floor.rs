//! The physical floor: bare commits through the same driver, bare writes to the same broker, bare calls of a warm host.

use std::time::{Duration, Instant};

use anyhow::{Context, bail, ensure};
use futures_util::FutureExt;
use neena_engine::ids::RunId;
use neena_engine::run::{Outcome, TaskKey};
use neena_store::{Db, StoreError};
use neena_worker::executors::{Call, Executor, PythonHosts};
use sea_orm::{ConnectionTrait, Statement, Value};
use sqlx::{Connection, Executor as _, PgConnection};
use tokio::sync::Mutex;
use tokio_util::sync::CancellationToken;
use uuid::Uuid;

use crate::confirms::Confirms;
use crate::stack::{Own, Place};

/// Rows of one commit where rows are written in bulk.
const BATCH: usize = 512;
/// Rows of one statement on SQLite.
const ROWS: usize = 64;
/// A result as a small task leaves it.
const RESULT: &str = "{\"n\":1}";

/// What the machine itself can do.
pub struct Floor {
    disk: Disk,
    /// None where no message leaves the process.
    broker: Option<Confirms>,
}

/// A database of its own on the same disk, or on the same server.
enum Disk {
    Sqlite(Db),
    Postgres(Box<Mutex<PgConnection>>),
}

impl std::fmt::Debug for Floor {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Floor").finish_non_exhaustive()
    }
}

impl Floor {
    /// Beside the measured one: a file in the same folder, or tables of the measured database's server.
    pub async fn beside(place: &Place) -> anyhow::Result<Floor> {
        match place {
            Place::Embedded { dir, durability } => {
                let db = Db::sqlite(&dir.join("bare.db"), *durability).await?;
                db.migrate().await?;
                execute(&db, BARE_SQLITE).await?;
                Ok(Floor {
                    disk: Disk::Sqlite(db),
                    broker: None,
                })
            }
            Place::Cluster { servers, .. } => {
                let own = servers.own().await?;
                Floor::on(&own).await
            }
        }
    }

    async fn on(own: &Own) -> anyhow::Result<Floor> {
        let db = own.backends().open().await?;
        db.migrate().await?;
        db.close().await;
        let mut connection = PgConnection::connect(&own.database_url).await?;
        connection.execute(BARE_POSTGRES).await?;
        Ok(Floor {
            disk: Disk::Postgres(Box::new(Mutex::new(connection))),
            broker: Some(Confirms::open(own).await?),
        })
    }

    /// `count` durable commits of one row, one after the other.
    pub async fn commits(&self, count: u64) -> anyhow::Result<Duration> {
        let began = Instant::now();
        match &self.disk {
            Disk::Sqlite(db) => {
                for _ in 0..count {
                    execute(db, INSERT).await?;
                }
            }
            Disk::Postgres(connection) => {
                let mut connection = connection.lock().await;
                for _ in 0..count {
                    sqlx::query(INSERT).execute(&mut *connection).await?;
                }
            }
        }
        Ok(began.elapsed())
    }

    /// `count` messages, each confirmed by the broker before the next; nothing where there is none.
    pub async fn confirms(&self, count: u64) -> anyhow::Result<Duration> {
        match &self.broker {
            Some(broker) => broker.publish(count).await,
            None => Ok(Duration::ZERO),
        }
    }

    /// Whether messages go through a broker.
    pub fn has_broker(&self) -> bool {
        self.broker.is_some()
    }

    /// Rows a second, where `count` rows of finished tasks are written in large commits.
    pub async fn rows_a_second(&self, count: usize) -> anyhow::Result<f64> {
        let run = Uuid::now_v7();
        let began = Instant::now();
        for first in (0..count).step_by(BATCH) {
            let rows = first..(first + BATCH).min(count);
            match &self.disk {
                Disk::Sqlite(db) => insert_sqlite(db, run, rows).await?,
                Disk::Postgres(connection) => {
                    insert_postgres(&mut *connection.lock().await, run, rows).await?;
                }
            }
        }
        Ok(count as f64 / began.elapsed().as_secs_f64())
    }

    /// Closes what it opened.
    pub async fn close(self) {
        if let Disk::Sqlite(db) = &self.disk {
            db.close().await;
        }
    }
}

const BARE_SQLITE: &str =
    "CREATE TABLE IF NOT EXISTS bare (id INTEGER PRIMARY KEY, body TEXT NOT NULL)";
const BARE_POSTGRES: &str = "CREATE TABLE IF NOT EXISTS bare \
     (id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY, body text NOT NULL)";
const INSERT: &str = "INSERT INTO bare (body) VALUES ('a row of about the size of a task run')";

async fn execute(db: &Db, sql: &'static str) -> anyhow::Result<()> {
    db.unit(move |tx| {
        async move {
            tx.execute_unprepared(sql).await.map_err(refused)?;
            Ok::<(), StoreError>(())
        }
        .boxed()
    })
    .await?;
    Ok(())
}

fn refused(error: sea_orm::DbErr) -> StoreError {
    StoreError::Refused(error.to_string())
}

/// The columns of a finished task.
const COLUMNS: &str = "run_id, idx, item, id, status, epoch, attempt, attempts_before, start_time, end_time, \
     result, result_size";

async fn insert_sqlite(db: &Db, run: Uuid, rows: std::ops::Range<usize>) -> anyhow::Result<()> {
    db.unit(move |tx| {
        async move {
            let rows: Vec<usize> = rows.collect();
            for some in rows.chunks(ROWS) {
                let places = vec!["(?, ?, -1, ?, 'completed', 1, 1, 0, ?, ?, ?, ?)"; some.len()];
                let sql = format!(
                    "INSERT INTO task_runs ({COLUMNS}) VALUES {}",
                    places.join(", ")
                );
                let mut values: Vec<Value> = Vec::with_capacity(some.len() * 7);
                for index in some {
                    values.extend([
                        run.into(),
                        (*index as i64).into(),
                        Uuid::now_v7().into(),
                        1_i64.into(),
                        2_i64.into(),
                        RESULT.into(),
                        (RESULT.len() as i64).into(),
                    ]);
                }
                let statement =
                    Statement::from_sql_and_values(tx.get_database_backend(), sql, values);
                tx.execute_raw(statement).await.map_err(refused)?;
            }
            Ok::<(), StoreError>(())
        }
        .boxed()
    })
    .await?;
    Ok(())
}

async fn insert_postgres(
    connection: &mut PgConnection,
    run: Uuid,
    rows: std::ops::Range<usize>,
) -> anyhow::Result<()> {
    let sql = "INSERT INTO task_runs (run_id, idx, item, id, status, epoch, attempt, attempts_before, start_time, \
           end_time, result, result_size) \
         SELECT $1, idx, -1, id, 'completed', 1, 1, 0, 1, 2, $2, $3 FROM unnest($4::bigint[], $5::uuid[]) AS t (idx, id)";
    let ids: Vec<Uuid> = rows.clone().map(|_| Uuid::now_v7()).collect();
    let indices: Vec<i64> = rows.map(|index| index as i64).collect();
    sqlx::query(sql)
        .bind(run)
        .bind(RESULT)
        .bind(RESULT.len() as i64)
        .bind(indices)
        .bind(ids)
        .execute(connection)
        .await?;
    Ok(())
}

/// A warm host, called without an engine around it.
#[derive(Debug)]
pub struct WarmHost {
    pub hosts: PythonHosts,
    pub digest: String,
}

impl WarmHost {
    /// So many bare calls of `step(n)`, one after the other.
    pub async fn calls(&self, count: u32, n: u32) -> anyhow::Result<Duration> {
        let arguments = format!("{{\"n\":{n}}}");
        let began = Instant::now();
        for index in 0..count {
            let call = Call {
                run: RunId(Uuid::nil()),
                epoch: 1,
                key: TaskKey { index, item: None },
                attempt: 1,
                integration: "bench".into(),
                method: "step".into(),
                code_digest: self.digest.clone(),
                arguments: neena_engine::Json::trusted(arguments.as_str()),
                timeout: None,
            };
            match self.hosts.run(call, CancellationToken::new()).await {
                Outcome::Completed(_) => {}
                other => bail!("a bare call ended as {other:?}"),
            }
        }
        Ok(began.elapsed())
    }
}

/// Plain Python that computes `fibonacci(n)` so many times, as it times itself: without its start.
pub async fn bare_python(python: &std::path::Path, count: u32, n: u32) -> anyhow::Result<Duration> {
    let program = format!(
        "import time\n\
         def fibonacci(n):\n    return n if n < 2 else fibonacci(n - 1) + fibonacci(n - 2)\n\
         began = time.perf_counter()\n\
         for _ in range({count}): fibonacci({n})\n\
         print(time.perf_counter() - began)\n"
    );
    let output = tokio::process::Command::new(python)
        .args(["-c", &program])
        .kill_on_drop(true)
        .output()
        .await
        .with_context(|| format!("cannot run {}", python.display()))?;
    ensure!(output.status.success(), "bare Python failed");
    let seconds: f64 = String::from_utf8(output.stdout)?.trim().parse()?;
    Ok(Duration::from_secs_f64(seconds))
}
