//! The decision log is append-only, and its chain tells of whatever is done to it.

use std::sync::Arc;
use std::time::{Duration, Instant};

use neena_engine::Micros;
use neena_engine::approval::chain::{Broken, Head, Line, verify};
use neena_engine::ids::{OrganizationId, UserId};
use neena_store::queries::{self, NewEntry};
use neena_store::{Db, StoreError};
use sea_orm::{ConnectionTrait, DatabaseBackend};
use uuid::Uuid;

use crate::harness::{Cluster, World, approve, cancel};

async fn append(db: &Db, organization: OrganizationId, number: u32) {
    db.unit::<_, StoreError, _>(move |tx| {
        Box::pin(async move {
            let comment = format!("no. {number}");
            let new = NewEntry {
                what: "group",
                user: Some(UserId(Uuid::from_u128(1))),
                email: Some("1@example.com"),
                way: "rest",
                comment: Some(&comment),
                result: "changed",
                ..NewEntry::default()
            };
            let at = Micros(1_700_000_000_000_000 + i64::from(number % 7));
            queries::of(tx, organization).append(new, at).await?;
            Ok(())
        })
    })
    .await
    .unwrap();
}

/// The whole log, as an export reads it, and where the chain is said to stand.
async fn export(db: &Db, organization: OrganizationId) -> (Vec<Line>, Head) {
    let tenant = queries::of(db.reader(), organization);
    let mut lines: Vec<Line> = Vec::new();
    loop {
        let seq = lines
            .last()
            .map_or(0, |line| line.seal.as_ref().unwrap().seq);
        let piece = tenant.sealed_after(seq, 300).await.unwrap();
        if piece.is_empty() {
            break;
        }
        lines.extend(piece.into_iter().map(|row| row.line().unwrap()));
    }
    let mut mark = None;
    loop {
        let piece = tenant.unsealed_after(mark, 3).await.unwrap();
        let Some(last) = piece.last() else { break };
        mark = Some(last.mark());
        lines.extend(piece.into_iter().map(|row| row.line().unwrap()));
    }
    (lines, tenant.chain().await.unwrap())
}

async fn seals_and_notices(world: World) {
    let (db, organization) = (world.db().unwrap(), world.organization);
    let run = world.waiting(1, 2).await;
    world.decide(run, approve(1)).await;
    world.decide(run, approve(2)).await;
    world.decide(run, cancel(2)).await;
    for number in 0..4 {
        append(db, organization, number).await;
    }
    assert_eq!(world.store.seal(5).await.unwrap(), 5);
    let (lines, head) = export(db, organization).await;
    let verified = verify(&lines, Some(head)).unwrap();
    assert_eq!((verified.sealed, verified.unsealed), (5, 2));
    assert_eq!(world.store.seal(5).await.unwrap(), 2);
    assert_eq!(world.store.seal(5).await.unwrap(), 0);
    let (lines, head) = export(db, organization).await;
    assert_eq!(verify(&lines, Some(head)).unwrap().sealed, 7);
    // Entries that come later follow those that are sealed, whatever their time.
    append(db, organization, 0).await;
    let other = OrganizationId(Uuid::from_u128(100));
    append(db, other, 0).await;
    assert_eq!(world.store.seal(99).await.unwrap(), 2);
    let (theirs, their_head) = export(db, other).await;
    assert_eq!(verify(&theirs, Some(their_head)).unwrap().sealed, 1);
    let (lines, head) = export(db, organization).await;
    assert_eq!(verify(&lines, Some(head)).unwrap().sealed, 8);
    noticed(&world, head).await;
}

/// Somebody who owns the database takes the triggers away, and changes what is written.
async fn noticed(world: &World, head: Head) {
    let (db, organization) = (world.db().unwrap(), world.organization);
    let postgres = db.reader().get_database_backend() == DatabaseBackend::Postgres;
    for trigger in ["said", "sealed", "kept", "unnumbered"] {
        let on = if postgres { " ON decisions" } else { "" };
        change(db, format!("DROP TRIGGER decisions_{trigger}{on}")).await;
    }
    let cases = [
        (
            "UPDATE decisions SET comment = 'no' WHERE seq = 3",
            Broken::Edited(3),
        ),
        (
            "UPDATE decisions SET seq = 100 WHERE seq = 3; UPDATE decisions SET seq = 3 WHERE seq = 4; \
             UPDATE decisions SET seq = 4 WHERE seq = 100",
            Broken::Edited(3),
        ),
        ("DELETE FROM decisions WHERE seq = 3", Broken::Removed(3)),
        ("DELETE FROM decisions WHERE seq = 8", Broken::Removed(8)),
    ];
    for (sql, broken) in cases {
        change(
            db,
            "CREATE TABLE kept AS SELECT * FROM decisions".to_owned(),
        )
        .await;
        let of_organization = sql.replace("WHERE seq", "WHERE result <> 'x' AND seq");
        change(db, of_organization).await;
        let (lines, said) = export(db, organization).await;
        assert_eq!(said, head);
        assert_eq!(verify(&lines, Some(head)), Err(broken), "{sql}");
        change(
            db,
            "DELETE FROM decisions; INSERT INTO decisions SELECT * FROM kept; DROP TABLE kept"
                .to_owned(),
        )
        .await;
    }
    let (lines, _) = export(db, organization).await;
    assert!(verify(&lines, Some(head)).is_ok());
}

async fn change(db: &Db, sql: String) {
    db.unit::<(), StoreError, _>(move |tx| {
        Box::pin(async move {
            for sql in sql.split("; ") {
                tx.execute_unprepared(sql).await?;
            }
            Ok(())
        })
    })
    .await
    .unwrap();
}

async fn stays_as_it_is(world: World) {
    let db = world.db().unwrap();
    let run = world.waiting(1, 1).await;
    world.decide(run, approve(1)).await;
    let tries = [
        "UPDATE decisions SET comment = 'no'",
        "UPDATE decisions SET result = result",
        "UPDATE decisions SET actor_email = 'mallory@example.com'",
        "UPDATE decisions SET run_id = NULL",
        "UPDATE decisions SET at = 0",
        "DELETE FROM decisions",
    ];
    let sealed = [
        "UPDATE decisions SET seq = 9",
        "UPDATE decisions SET seq = NULL, prev = NULL, hash = NULL",
        "UPDATE decisions SET hash = 'x'",
    ];
    let before = world.log(run).await;
    refused(db, &tries).await;
    let (again, id) = match db.reader().get_database_backend() {
        DatabaseBackend::Sqlite => (
            "INSERT OR REPLACE INTO decisions SELECT * FROM decisions",
            "x'00000000000000000000000000000001'",
        ),
        _ => (
            "INSERT INTO decisions SELECT * FROM decisions ON CONFLICT DO NOTHING",
            "'00000000-0000-0000-0000-000000000001'::uuid",
        ),
    };
    change(db, again.to_owned()).await;
    assert_eq!(world.store.seal(9).await.unwrap(), 1);
    refused(db, &tries).await;
    refused(db, &sealed).await;
    let numbered = format!(
        "INSERT INTO decisions (id, organization_id, what, way, result, at, seq, prev, hash) \
         SELECT {id}, organization_id, what, way, result, at, 9, hash, hash FROM decisions"
    );
    refused(db, &[&numbered]).await;
    if db.reader().get_database_backend() == DatabaseBackend::Postgres {
        refused(db, &["TRUNCATE decisions"]).await;
    }
    assert_eq!(world.log(run).await, before);
    let (lines, head) = export(db, world.organization).await;
    assert_eq!(verify(&lines, Some(head)).unwrap().sealed, 1);
}

async fn refused(db: &Db, tries: &[&str]) {
    for sql in tries {
        let sql = (*sql).to_owned();
        let shown = sql.clone();
        let tried = db
            .unit::<(), StoreError, _>(move |tx| {
                Box::pin(async move {
                    tx.execute_unprepared(&sql).await?;
                    Ok(())
                })
            })
            .await;
        let error = tried.expect_err(&shown).to_string();
        assert!(error.contains("append-only"), "{shown}: {error}");
    }
}

#[tokio::test]
async fn an_entry_cannot_be_changed_or_removed() {
    stays_as_it_is(World::on_sqlite().await).await;
    if let Some((world, schema)) = World::on_postgres().await {
        stays_as_it_is(world).await;
        schema.remove().await;
    }
}

#[tokio::test]
async fn edited_removed_and_reordered_entries_are_found() {
    seals_and_notices(World::on_sqlite().await).await;
    if let Some((world, schema)) = World::on_postgres().await {
        seals_and_notices(world).await;
        schema.remove().await;
    }
}

/// Four processes' worth of sealers while four others write: every entry has one place, and none is sealed twice.
#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn sealers_at_once_never_fork_the_chain() {
    const ENTRIES: u32 = 2_000;
    let Some(cluster) = Cluster::of(4).await else {
        return;
    };
    let organization = cluster.worlds[0].organization;
    let start = Instant::now();
    let writers = cluster
        .worlds
        .clone()
        .into_iter()
        .enumerate()
        .map(|(at, world)| {
            tokio::spawn(async move {
                for number in 0..ENTRIES / 4 {
                    append(world.db().unwrap(), organization, number * 4 + at as u32).await;
                }
            })
        });
    let writers: Vec<_> = writers.collect();
    let sealers = cluster.worlds.iter().map(|world| {
        let world = Arc::clone(world);
        tokio::spawn(async move {
            let mut sealed = 0;
            let tenant = queries::of(world.db().unwrap().reader(), organization);
            while tenant.chain().await.unwrap().seq < i64::from(ENTRIES) {
                sealed += world.store.seal(100).await.unwrap();
                assert!(start.elapsed() < Duration::from_secs(300));
            }
            sealed
        })
    });
    let sealers: Vec<_> = sealers.collect();
    for writer in writers {
        writer.await.unwrap();
    }
    let mut sealed = 0;
    for sealer in sealers {
        sealed += sealer.await.unwrap();
    }
    assert_eq!(sealed, u64::from(ENTRIES));
    let (lines, head) = export(cluster.worlds[0].db().unwrap(), organization).await;
    let verified = verify(&lines, Some(head)).unwrap();
    assert_eq!(
        (verified.sealed, verified.unsealed),
        (u64::from(ENTRIES), 0)
    );
    let ids: std::collections::BTreeSet<Uuid> = lines.iter().map(|line| line.entry.id).collect();
    assert_eq!(ids.len(), lines.len());
    assert_eq!(cluster.end().await, 0, "deadlocks");
}
