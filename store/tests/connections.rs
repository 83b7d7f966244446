//! Connections to Postgres: kept at hand, shared fairly, replaced when they are lost.

use std::pin::pin;
use std::time::Duration;

use futures_util::future::join_all;
use futures_util::poll;
use neena_store::{Connections, Db, StoreError, Transaction};
use sea_orm::ConnectionTrait;
use tokio::sync::oneshot;

use crate::harness::Cluster;

/// Of each kind one connection.
fn one() -> Connections {
    Connections {
        units: 1,
        lazy: 1,
        reads: 1,
        patience: Duration::from_secs(30),
        ..Connections::default()
    }
}

async fn write(tx: &Transaction, sql: &str) -> Result<(), StoreError> {
    tx.execute_unprepared(sql).await?;
    Ok(())
}

async fn count(db: &Db) -> i64 {
    let sql = "SELECT count(*) FROM things";
    let statement = sea_orm::Statement::from_string(sea_orm::DbBackend::Postgres, sql);
    let row = db.reader().query_one_raw(statement).await.unwrap().unwrap();
    row.try_get_by_index(0).unwrap()
}

async fn unit(db: &Db, sql: &'static str) -> Result<(), StoreError> {
    db.unit(move |tx| Box::pin(write(tx, sql))).await
}

#[tokio::test]
async fn whoever_waits_for_a_connection_gets_the_next_that_is_free() {
    let Some(cluster) = Cluster::empty().await else {
        return;
    };
    let db = Db::postgres_with(&cluster.url, &one()).await.unwrap();
    unit(&db, "CREATE TABLE things (x int)").await.unwrap();
    let (begun, is_begun) = oneshot::channel();
    let (go_on, may_go_on) = oneshot::channel::<()>();
    let first = db.unit::<_, StoreError, _>(move |tx| {
        Box::pin(async move {
            begun.send(()).unwrap();
            may_go_on.await.unwrap();
            write(tx, "INSERT INTO things VALUES (1)").await
        })
    });
    let others = async {
        is_begun.await.unwrap();
        let units = (0..20).map(|_| unit(&db, "INSERT INTO things VALUES (2)"));
        let mut units = pin!(join_all(units));
        // All of them wait now.
        assert!(poll!(&mut units).is_pending());
        go_on.send(()).unwrap();
        units.await
    };
    let (first, others) = tokio::join!(first, others);
    first.unwrap();
    for other in others {
        other.unwrap();
    }
    assert_eq!(count(&db).await, 21);
    db.close().await;
    cluster.end().await;
}

#[tokio::test]
async fn the_schema_is_brought_up_to_date_though_every_connection_is_at_hand() {
    let Some(cluster) = Cluster::empty().await else {
        return;
    };
    let db = Db::postgres_with(&cluster.url, &one()).await.unwrap();
    unit(&db, "CREATE TABLE things (x int)").await.unwrap();
    assert!(db.migrate().await.unwrap() > 0);
    assert_eq!(db.migrate().await.unwrap(), 0);
    db.close().await;
    cluster.end().await;
}

#[tokio::test]
async fn a_unit_that_fails_leaves_nothing_and_its_connection_is_used_again() {
    let Some(cluster) = Cluster::empty().await else {
        return;
    };
    let db = Db::postgres_with(&cluster.url, &one()).await.unwrap();
    unit(&db, "CREATE TABLE things (x int CHECK (x > 0))")
        .await
        .unwrap();
    let lives = sessions(&cluster).await;
    let failed = db
        .unit(|tx| {
            Box::pin(async move {
                write(tx, "INSERT INTO things VALUES (1)").await?;
                write(tx, "INSERT INTO things VALUES (-1)").await
            })
        })
        .await;
    assert!(matches!(failed, Err(StoreError::Refused(_))), "{failed:?}");
    let panicked = db.unit::<(), StoreError, _>(|tx| {
        Box::pin(async move {
            write(tx, "INSERT INTO things VALUES (1)").await?;
            panic!("on purpose")
        })
    });
    assert!(matches!(panicked.await, Err(StoreError::Refused(_))));
    unit(&db, "INSERT INTO things VALUES (7)").await.unwrap();
    assert_eq!(count(&db).await, 1);
    assert_eq!(sessions(&cluster).await, lives + 1, "and one that reads");
    db.close().await;
    cluster.end().await;
}

/// How many sessions there are.
async fn sessions(cluster: &Cluster) -> i64 {
    let sql = "SELECT count(*) FROM pg_stat_activity WHERE datname = 'NAME'";
    cluster.ask(sql).await
}

#[tokio::test]
async fn when_the_server_has_hung_up_one_read_fails_at_most_and_no_unit() {
    let Some(cluster) = Cluster::of(1).await else {
        return;
    };
    let db = cluster.worlds[0].db().unwrap().clone();
    // All four are at hand.
    let sleeps = (0..4).map(|_| db.reader().execute_unprepared("SELECT pg_sleep(0.05)"));
    for slept in join_all(sleeps).await {
        slept.unwrap();
    }
    cluster.hang_up().await;
    let mut failed = 0;
    for _ in 0..8 {
        failed += u32::from(db.now().await.is_err());
    }
    assert!(failed <= 1, "{failed} reads failed");
    let sql = "CREATE TABLE things (x int)";
    unit(&db, sql).await.unwrap();
    cluster.end().await;
}
