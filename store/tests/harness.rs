//! Fresh stores: in memory and on SQLite always, on Postgres where `NEENA_TEST_DATABASE_URL` names one.

mod asking;
mod cluster;
mod plans;
mod proxy;
mod rows;
mod scripted;
mod words;
mod world;

pub use asking::{Logged, gate, people, reaching, stages};
pub use cluster::Cluster;
pub use plans::{plan, plan_with};
pub use proxy::Proxy;
pub use rows::{completed, failed, hold, pending, skipped, started, then};
pub use scripted::{Fault, Scripted, UNSTORABLE};
pub use words::{actor, approve, cancel, claim, entry, finish, kinds, reject, retry};
pub use world::{Schema, World};

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

/// Makes a test of each behaviour for each store. A behaviour is an async function of a fresh [`World`].
macro_rules! on_every_store {
    ($($behaviour:ident),* $(,)?) => {
        mod in_memory {
            $(#[tokio::test(start_paused = true)]
            async fn $behaviour() {
                super::$behaviour($crate::harness::World::in_memory()).await;
            })*
        }
        mod on_sqlite {
            $(#[tokio::test]
            async fn $behaviour() {
                super::$behaviour($crate::harness::World::on_sqlite().await).await;
            })*
        }
        mod on_postgres {
            $(#[tokio::test]
            async fn $behaviour() {
                if let Some((world, schema)) = $crate::harness::World::on_postgres().await {
                    super::$behaviour(world).await;
                    schema.remove().await;
                }
            })*
        }
    };
}

pub(crate) use on_every_store;
