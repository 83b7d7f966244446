//! `neena migrate`: brings a database to this version, without serving.

use neena::node::{bring_up_to_date, shown};
use neena::{Backends, Broker, Database};

use super::seconds;
use crate::config::Migrate;
use crate::data_dir::DataDir;

/// A database that was brought up to date.
#[derive(Debug)]
pub struct Migrated {
    pub database: String,
    /// How many migrations that took.
    pub applied: usize,
}

/// Applies what the database lacks; refuses a file while a server uses it. On Postgres any number of processes
/// may do so together.
pub async fn migrate(options: &Migrate) -> anyhow::Result<Migrated> {
    let (database, name, _lock) = match &options.database.database_url {
        Some(url) => {
            let url = url.expose().to_owned();
            let name = shown(&url);
            (Database::Postgres { url }, name, None)
        }
        None => {
            let dir = DataDir::open(&options.data.data_dir)?;
            let lock = dir.lock()?;
            let path = dir.database();
            let name = path.display().to_string();
            let durability = neena_store::Durability::Full;
            (Database::Sqlite { path, durability }, name, Some(lock))
        }
    };
    let backends = Backends {
        database,
        broker: Broker::InProcess,
        wait: seconds(options.database.wait_seconds),
    };
    let db = backends.open().await?;
    let applied = bring_up_to_date(&db).await;
    db.close().await;
    Ok(Migrated {
        database: name,
        applied: applied?,
    })
}
