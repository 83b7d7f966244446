//! Entries of the decision log are sealed soon after they were written.

use std::sync::Arc;
use std::time::Duration;

use neena_bus::Sealer;
use neena_engine::approval::chain::{Line, verify};
use neena_engine::ids::OrganizationId;
use neena_store::queries::{self, NewEntry};
use neena_store::{Db, Durability, SqlStore, StoreError};
use tokio_util::sync::CancellationToken;
use uuid::Uuid;

const ORGANIZATION: OrganizationId = OrganizationId(Uuid::from_u128(9));

/// Adds an entry and waits until it has its seal; how long that took by the database's clock.
async fn sealed_after(db: &Db, seq: i64) -> Duration {
    let now = db.now().await.unwrap();
    db.unit::<_, StoreError, _>(move |tx| {
        Box::pin(async move {
            let new = NewEntry {
                what: "policy",
                way: "rest",
                result: "changed",
                ..NewEntry::default()
            };
            queries::of(tx, ORGANIZATION).append(new, now).await?;
            Ok(())
        })
    })
    .await
    .unwrap();
    let tenant = queries::of(db.reader(), ORGANIZATION);
    while tenant.chain().await.unwrap().seq < seq {
        tokio::task::yield_now().await;
    }
    db.now().await.unwrap().since(now)
}

#[tokio::test]
async fn an_entry_is_sealed_within_a_second() {
    let folder = std::env::temp_dir().join(format!("neena-sealer-{}", Uuid::now_v7()));
    std::fs::create_dir(&folder).unwrap();
    let db = Db::sqlite(&folder.join("neena.db"), Durability::Fast)
        .await
        .unwrap();
    db.migrate().await.unwrap();
    let store = Arc::new(SqlStore::new(db.clone()));
    let stop = CancellationToken::new();
    let sealer = tokio::spawn(Sealer::new(store.clone()).run(stop.clone()));
    let mut soonest = Duration::MAX;
    for seq in 1..=3 {
        soonest = soonest.min(sealed_after(&db, seq).await);
    }
    // A machine that has other things to do may be late once or twice.
    assert!(soonest < Duration::from_secs(1), "{soonest:?}");
    stop.cancel();
    sealer.await.unwrap();
    let tenant = queries::of(db.reader(), ORGANIZATION);
    let rows = tenant.sealed_after(0, 9).await.unwrap().into_iter();
    let lines: Vec<Line> = rows.map(|row| row.line().unwrap()).collect();
    let head = tenant.chain().await.unwrap();
    assert_eq!(verify(&lines, Some(head)).unwrap().sealed, 3);
    assert_eq!(Sealer::new(store).run_once().await.unwrap(), 0);
    db.close().await;
    std::fs::remove_dir_all(&folder).unwrap();
}
