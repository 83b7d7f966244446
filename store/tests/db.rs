//! Units of work on SQLite: grouped, separate, detached from whoever asked.

use std::sync::Arc;

use neena_store::entities::organization;
use neena_store::{Db, Durability, StoreError};
use sea_orm::{ActiveModelTrait, ConnectionTrait, EntityTrait, IntoActiveModel, PaginatorTrait};
use tokio::sync::Barrier;
use uuid::Uuid;

use crate::harness::sqlite;

fn organization(name: &str) -> organization::Model {
    organization::Model {
        id: Uuid::now_v7(),
        external_id: name.to_owned(),
        name: name.to_owned(),
        created_at: 1,
        approval: None,
    }
}

async fn insert(db: &Db, name: String) -> Result<(), StoreError> {
    db.unit(move |tx| {
        Box::pin(async move {
            organization(&name).into_active_model().insert(tx).await?;
            Ok(())
        })
    })
    .await
}

async fn count(db: &Db) -> u64 {
    organization::Entity::find()
        .count(db.reader())
        .await
        .unwrap()
}

#[tokio::test]
async fn what_a_unit_wrote_is_read_back() {
    let sqlite = sqlite().await;
    let wrote = organization("a");
    let row = wrote.clone();
    sqlite
        .db
        .unit::<_, StoreError, _>(|tx| {
            Box::pin(async move { Ok(row.into_active_model().insert(tx).await?) })
        })
        .await
        .unwrap();
    let read = organization::Entity::find_by_id(wrote.id)
        .one(sqlite.db.reader())
        .await
        .unwrap();
    assert_eq!(read, Some(wrote));
}

#[tokio::test]
async fn units_that_wait_together_share_a_commit() {
    let sqlite = sqlite().await;
    let before = sqlite.db.commits();
    let units = (0..200).map(|n| insert(&sqlite.db, format!("o{n}")));
    for done in futures_util::future::join_all(units).await {
        done.unwrap();
    }
    assert_eq!(count(&sqlite.db).await, 200);
    let commits = sqlite.db.commits().durable - before.durable;
    assert!(commits < 100, "{commits} commits for 200 units");
}

#[tokio::test]
async fn a_failing_unit_in_a_group_rolls_back_alone() {
    let sqlite = sqlite().await;
    let units = (0..60).map(|n| {
        // Every third takes a name that is taken: after a good insert of its own, which must vanish, too.
        let db = sqlite.db.clone();
        async move {
            db.unit::<(), StoreError, _>(move |tx| {
                Box::pin(async move {
                    organization(&format!("o{n}"))
                        .into_active_model()
                        .insert(tx)
                        .await?;
                    if n % 3 == 0 {
                        organization(&format!("o{n}"))
                            .into_active_model()
                            .insert(tx)
                            .await?;
                    }
                    Ok(())
                })
            })
            .await
        }
    });
    let outcomes = futures_util::future::join_all(units).await;
    for (n, outcome) in outcomes.iter().enumerate() {
        match n % 3 {
            0 => assert!(
                matches!(outcome, Err(StoreError::Refused(_))),
                "{n}: {outcome:?}"
            ),
            _ => assert_eq!(*outcome, Ok(()), "{n}"),
        }
    }
    assert_eq!(count(&sqlite.db).await, 40);
}

#[tokio::test]
async fn a_panic_in_a_unit_harms_nobody_else() {
    let sqlite = sqlite().await;
    let panicking = sqlite.db.unit::<(), StoreError, _>(|tx| {
        Box::pin(async move {
            organization("lost").into_active_model().insert(tx).await?;
            panic!("on purpose")
        })
    });
    let (panicked, inserted) = tokio::join!(panicking, insert(&sqlite.db, "kept".to_owned()));
    assert!(
        matches!(panicked, Err(StoreError::Refused(_))),
        "{panicked:?}"
    );
    assert_eq!(inserted, Ok(()));
    insert(&sqlite.db, "later".to_owned()).await.unwrap();
    assert_eq!(count(&sqlite.db).await, 2);
}

#[tokio::test]
async fn a_unit_goes_on_when_its_caller_is_dropped() {
    let sqlite = sqlite().await;
    // The writer is held by a first unit, so that the second is still queued when its caller goes.
    let (entered, held) = (Arc::new(Barrier::new(2)), Arc::new(Barrier::new(2)));
    let (db, at_entry, at_exit) = (sqlite.db.clone(), Arc::clone(&entered), Arc::clone(&held));
    let first = tokio::spawn(async move {
        db.unit::<(), StoreError, _>(move |_| {
            Box::pin(async move {
                at_entry.wait().await;
                at_exit.wait().await;
                Ok(())
            })
        })
        .await
    });
    entered.wait().await;
    let mut second = Box::pin(insert(&sqlite.db, "orphan".to_owned()));
    assert!(futures_util::poll!(&mut second).is_pending());
    drop(second);
    held.wait().await;
    first.await.unwrap().unwrap();
    // Answered after the orphan, which stood before it in the queue.
    insert(&sqlite.db, "next".to_owned()).await.unwrap();
    assert_eq!(count(&sqlite.db).await, 2);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn eight_tasks_read_then_write_without_a_busy_error() {
    const EACH: usize = 1_000;
    let sqlite = sqlite().await;
    insert(&sqlite.db, "counter".to_owned()).await.unwrap();
    let tasks: Vec<_> = (0..8)
        .map(|_| {
            let db = sqlite.db.clone();
            tokio::spawn(async move {
                for _ in 0..EACH {
                    db.unit::<(), StoreError, _>(|tx| {
                        Box::pin(async move {
                            let row = organization::Entity::find().one(tx).await?;
                            let row = row.unwrap();
                            let mut next = row.clone().into_active_model();
                            next.created_at = sea_orm::Set(row.created_at + 1);
                            next.update(tx).await?;
                            Ok(())
                        })
                    })
                    .await
                    .unwrap();
                }
            })
        })
        .collect();
    for task in tasks {
        task.await.unwrap();
    }
    let row = organization::Entity::find()
        .one(sqlite.db.reader())
        .await
        .unwrap()
        .unwrap();
    assert_eq!(row.created_at, 1 + 8 * i64::try_from(EACH).unwrap());
}

#[tokio::test]
async fn lazy_units_commit_lazily_and_are_there_after_a_reopening() {
    let sqlite = sqlite().await;
    let before = sqlite.db.commits();
    sqlite
        .db
        .lazy::<(), StoreError, _>(|tx| {
            Box::pin(async move {
                organization("lazy").into_active_model().insert(tx).await?;
                Ok(())
            })
        })
        .await
        .unwrap();
    let after = sqlite.db.commits();
    assert_eq!(
        (after.durable - before.durable, after.lazy - before.lazy),
        (0, 1)
    );
    sqlite.db.close().await;
    let again = Db::sqlite(&sqlite.dir.path().join("neena.db"), Durability::Full)
        .await
        .unwrap();
    assert_eq!(count(&again).await, 1);
}

#[tokio::test]
async fn a_durable_commit_carries_the_lazy_ones_even_if_it_writes_nothing() {
    let sqlite = sqlite().await;
    let log = sqlite.dir.path().join("neena.db-wal");
    let length = || std::fs::metadata(&log).unwrap().len();
    let nothing = || {
        sqlite
            .db
            .unit::<(), StoreError, _>(|_| Box::pin(async { Ok(()) }))
    };
    nothing().await.unwrap();
    let synced = length();
    nothing().await.unwrap();
    assert_eq!(length(), synced, "there was nothing to sync");
    let lazily = sqlite.db.lazy::<(), StoreError, _>(|tx| {
        Box::pin(async move {
            organization("lazy").into_active_model().insert(tx).await?;
            Ok(())
        })
    });
    lazily.await.unwrap();
    let lazy = length();
    // Something is written, because only a commit that writes is synced.
    nothing().await.unwrap();
    assert!(length() > lazy);
}

#[tokio::test]
async fn a_closed_database_turns_units_away() {
    let sqlite = sqlite().await;
    sqlite.db.close().await;
    let refused = insert(&sqlite.db, "late".to_owned()).await;
    assert!(
        matches!(refused, Err(StoreError::Unavailable(_))),
        "{refused:?}"
    );
}

#[tokio::test]
async fn the_reader_cannot_write() {
    let sqlite = sqlite().await;
    let written = organization("x")
        .into_active_model()
        .insert(sqlite.db.reader())
        .await;
    assert!(written.is_err());
    assert_eq!(count(&sqlite.db).await, 0);
}

#[tokio::test]
async fn a_damaged_file_is_named() {
    let sqlite = sqlite().await;
    for n in 0..200 {
        insert(&sqlite.db, format!("{n}{}", "x".repeat(500)))
            .await
            .unwrap();
    }
    sqlite.db.check().await.unwrap();
    sqlite.db.close().await;
    let path = sqlite.dir.path().join("neena.db");
    let mut bytes = std::fs::read(&path).unwrap();
    let middle = bytes.len() / 2 / 4096 * 4096;
    bytes[middle..middle + 4096].fill(0xff);
    std::fs::write(&path, bytes).unwrap();
    let again = Db::sqlite(&path, Durability::Full).await.unwrap();
    let Err(StoreError::Refused(why)) = again.check().await else {
        panic!("found whole")
    };
    assert!(why.contains("neena.db"), "{why}");
}

#[tokio::test]
async fn a_full_disk_is_told_apart_and_survived() {
    let sqlite = sqlite().await;
    insert(&sqlite.db, "before".to_owned()).await.unwrap();
    // SQLite's own limit on the file stands in for the disk's.
    set_page_limit(&sqlite.db, 1).await;
    let large = "x".repeat(200_000);
    let (full, beside) = tokio::join!(
        insert(&sqlite.db, large.clone()),
        insert(&sqlite.db, large.clone() + "y"),
    );
    assert!(matches!(full, Err(StoreError::Full(_))), "{full:?}");
    assert!(beside.is_err());
    set_page_limit(&sqlite.db, 1_000_000).await;
    insert(&sqlite.db, large).await.unwrap();
    assert_eq!(count(&sqlite.db).await, 2);
}

pub async fn set_page_limit(db: &Db, pages: u32) {
    db.unit::<(), StoreError, _>(move |tx| {
        Box::pin(async move {
            tx.execute_unprepared(&format!("PRAGMA max_page_count = {pages}"))
                .await?;
            Ok(())
        })
    })
    .await
    .unwrap();
}
