//! What a commit costs on this machine, through the writer the server uses: the latency of a durable unit
//! alone, units per second when many wait, rows per second in the journal's batches.
//!
//! `cargo run --release -p neena-store --example commit_latency [FOLDER | postgres://…]`
//!
//! On Postgres the database is to be empty, and is not cleaned up.

use std::path::PathBuf;
use std::sync::Arc;
use std::time::{Duration, Instant};

use neena_engine::ids::{ClaimId, FlowId, OrganizationId, RunId, TaskRunId, WorkerId};
use neena_engine::run::{Record, TaskKey, TaskRow, TaskStatus};
use neena_engine::{Hash, Json, Micros};
use neena_store::entities::{live_run, organization};
use neena_store::{Batch, Db, Durability, Entry, SqlStore, Store, StoreError};
use sea_orm::{ActiveModelTrait, IntoActiveModel};
use uuid::Uuid;

type Failed = Box<dyn std::error::Error>;

#[tokio::main]
async fn main() -> Result<(), Failed> {
    let given = std::env::args_os().nth(1);
    if let Some(url) = given.as_ref().and_then(|given| given.to_str())
        && url.starts_with("postgres")
    {
        let db = Db::postgres(url).await?;
        db.migrate().await?;
        println!("Postgres:");
        return measure(&db).await;
    }
    let folder = given.map_or_else(std::env::temp_dir, PathBuf::from);
    for durability in [Durability::Full, Durability::Fast] {
        let folder = folder.join(format!("neena-commits-{}", Uuid::now_v7()));
        std::fs::create_dir_all(&folder)?;
        let db = Db::sqlite(&folder.join("neena.db"), durability).await?;
        db.migrate().await?;
        println!("{durability:?}:");
        measure(&db).await?;
        db.close().await;
        std::fs::remove_dir_all(&folder)?;
    }
    Ok(())
}

async fn measure(db: &Db) -> Result<(), Failed> {
    alone(db).await?;
    together(db, 8, 500).await?;
    together(db, 64, 100).await?;
    for (entries, rows, durable) in [
        (1, 1, true),
        (1, 1, false),
        (100, 1, true),
        (100, 1, false),
        (1, 100, true),
        (1, 500, true),
    ] {
        batches(db, entries, rows, durable).await?;
    }
    Ok(())
}

async fn insert(db: &Db) -> Result<(), StoreError> {
    db.unit(|tx| {
        Box::pin(async move {
            let id = Uuid::now_v7();
            let name = id.to_string();
            let row = organization::Model {
                id,
                external_id: name.clone(),
                name,
                created_at: 0,
                approval: None,
            };
            row.into_active_model().insert(tx).await?;
            Ok(())
        })
    })
    .await
}

/// One unit at a time.
async fn alone(db: &Db) -> Result<(), Failed> {
    let mut times = Vec::with_capacity(200);
    for _ in 0..200 {
        let start = Instant::now();
        insert(db).await?;
        times.push(start.elapsed());
    }
    times.sort_unstable();
    let at = |share: usize| times[times.len() * share / 100];
    println!(
        "  a unit alone: median {:?}, p95 {:?}, p99 {:?}",
        at(50),
        at(95),
        at(99)
    );
    Ok(())
}

/// `callers` that each wait for one unit after the other.
async fn together(db: &Db, callers: usize, each: usize) -> Result<(), Failed> {
    let (start, before) = (Instant::now(), db.commits());
    let tasks: Vec<_> = (0..callers)
        .map(|_| {
            let db = db.clone();
            tokio::spawn(async move {
                for _ in 0..each {
                    insert(&db).await?;
                }
                Ok::<(), StoreError>(())
            })
        })
        .collect();
    for task in tasks {
        task.await??;
    }
    let units = callers * each;
    let commits = db.commits().durable - before.durable;
    println!(
        "  {callers} callers: {:.0} units/s, {commits} commits for {units}",
        rate(units, start)
    );
    Ok(())
}

/// Batches of `runs` entries with `rows` outcomes each, one after the other, as the journal writes them.
async fn batches(db: &Db, runs: usize, rows: u32, durable: bool) -> Result<(), Failed> {
    const TIMES: u32 = 100;
    let store = Arc::new(SqlStore::new(db.clone()));
    let holds: Vec<(RunId, ClaimId)> = (0..runs)
        .map(|_| (RunId(Uuid::now_v7()), ClaimId(Uuid::now_v7())))
        .collect();
    for (run, claim) in &holds {
        hold(db, *run, *claim).await?;
    }
    let mut times = Vec::new();
    let start = Instant::now();
    for batch in 0..TIMES {
        let entry = |(run, claim): &(RunId, ClaimId)| Entry {
            run: *run,
            claim: *claim,
            seen: 0,
            record: Record {
                seq: 1,
                rows: (0..rows)
                    .map(|row| outcome(*run, batch * rows + row))
                    .collect(),
                urgent: true,
                ..Record::default()
            },
        };
        let entries = holds.iter().map(entry).collect();
        let sent = Instant::now();
        let verdicts = store.commit(&Batch { entries, durable }).await?;
        times.push(sent.elapsed());
        assert!(verdicts.iter().all(|verdict| verdict.held));
    }
    let written = runs * usize::try_from(rows * TIMES)?;
    times.sort_unstable();
    let way = if durable { "durable" } else { "lazy" };
    println!(
        "  {way} batches of {runs} entries of {rows} rows: median {:?}, p95 {:?}; {:.0} rows/s",
        times[50],
        times[95],
        rate(written, start)
    );
    Ok(())
}

/// A live row that is held under `claim`.
async fn hold(db: &Db, run: RunId, claim: ClaimId) -> Result<(), StoreError> {
    let hash = Hash::of(b"").to_string();
    let row = live_run::Model {
        run_id: run.0,
        organization_id: OrganizationId(Uuid::nil()).0,
        flow_id: FlowId(Uuid::nil()).0,
        phase: "running".to_owned(),
        intent: None,
        owner: Some(WorkerId(Uuid::nil()).0),
        claim: Some(claim.0),
        epoch: 1,
        claims: 1,
        inbox_seq: 0,
        wake_at: None,
        ready_at: None,
        deadline_at: None,
        priority: 0,
        plan_hash: hash.clone(),
        approved_hash: Some(hash),
        plan_v: 1,
    };
    db.unit(|tx| {
        Box::pin(async move {
            row.into_active_model().insert(tx).await?;
            Ok(())
        })
    })
    .await
}

fn outcome(run: RunId, index: u32) -> TaskRow {
    TaskRow {
        key: TaskKey { index, item: None },
        id: TaskRunId::of(run, index, None),
        status: TaskStatus::Completed,
        attempt: 1,
        attempts_before: 0,
        start_time: Some(Micros(1)),
        end_time: Some(Micros(2)),
        due_at: None,
        result: Some(Json::trusted(
            r#"{"text":"a result of the usual size","count":12345}"#,
        )),
        error: None,
        prep_answer: Some(Json::trusted(r#"{"parameters":[]}"#)),
    }
}

fn rate(count: usize, since: Instant) -> f64 {
    // Counts are small: nothing is lost.
    count as f64 / since.elapsed().max(Duration::from_nanos(1)).as_secs_f64()
}
