//! How the database's schema stands to the one this program knows.

use std::collections::HashSet;

use neena_migrations::Migrator;
use sea_orm::{ConnectionTrait, DatabaseBackend, Statement};
use sea_orm_migration::MigratorTrait;

use super::Db;
use crate::Res;

/// The schema of a database, compared with this program's.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Schema {
    /// The very one.
    Current,
    /// So many migrations were not applied yet.
    Older(usize),
    /// A newer program has applied migrations that this one does not know.
    Newer(Vec<String>),
}

impl Db {
    /// Compares the schema with this program's; changes nothing.
    pub async fn schema(&self) -> Res<Schema> {
        let reader = self.reader();
        let backend = reader.get_database_backend();
        let there = match backend {
            DatabaseBackend::Postgres => {
                "SELECT 1 FROM pg_catalog.pg_class WHERE oid = to_regclass('seaql_migrations')"
            }
            _ => "SELECT 1 FROM sqlite_master WHERE name = 'seaql_migrations'",
        };
        let there = Statement::from_string(backend, there.to_owned());
        let mut known: HashSet<String> = Migrator::migrations()
            .iter()
            .map(|migration| migration.name().to_owned())
            .collect();
        if reader.query_one_raw(there).await?.is_none() {
            return Ok(Schema::Older(known.len()));
        }
        let applied = "SELECT version FROM seaql_migrations ORDER BY version";
        let applied = Statement::from_string(backend, applied.to_owned());
        let mut unknown = Vec::new();
        for row in reader.query_all_raw(applied).await? {
            let version: String = row.try_get_by_index(0)?;
            if !known.remove(&version) {
                unknown.push(version);
            }
        }
        Ok(match (unknown.is_empty(), known.len()) {
            (true, 0) => Schema::Current,
            (true, missing) => Schema::Older(missing),
            (false, _) => Schema::Newer(unknown),
        })
    }
}
