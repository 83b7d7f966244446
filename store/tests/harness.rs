//! Fresh databases: SQLite always, Postgres where `NEENA_TEST_DATABASE_URL` names one.

use neena_store::{Db, Durability};
use tempfile::TempDir;

/// A migrated SQLite database in a folder that goes with it.
#[derive(Debug)]
pub struct Sqlite {
    pub db: Db,
    pub dir: TempDir,
}

/// A fresh SQLite database.
pub async fn sqlite() -> Sqlite {
    let dir = tempfile::tempdir().unwrap();
    let db = Db::sqlite(&dir.path().join("neena.db"), Durability::Full)
        .await
        .unwrap();
    db.migrate().await.unwrap();
    Sqlite { db, dir }
}
