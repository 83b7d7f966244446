//! A Postgres database of its own, seen by several processes' worth of connections.

use std::sync::Arc;

use neena_store::{Connections, Db};
use sea_orm::{ConnectionTrait, Database, DatabaseConnection, Statement};
use uuid::Uuid;

use super::World;

/// Several stores over one database.
#[derive(Debug)]
pub struct Cluster {
    pub worlds: Vec<Arc<World>>,
    pub url: String,
    name: String,
    admin: DatabaseConnection,
}

impl Cluster {
    /// A migrated database and so many stores; none unless a Postgres is named.
    pub async fn of(stores: usize) -> Option<Cluster> {
        let mut cluster = Cluster::empty().await?;
        for _ in 0..stores {
            let db = cluster.connect().await;
            db.migrate().await.unwrap();
            cluster.worlds.push(Arc::new(World::over(db)));
        }
        Some(cluster)
    }

    /// An empty database.
    pub async fn empty() -> Option<Cluster> {
        let server = std::env::var("NEENA_TEST_DATABASE_URL").ok()?;
        let name = format!("t_{}", Uuid::now_v7().simple());
        let admin = Database::connect(&server).await.unwrap();
        admin
            .execute_unprepared(&format!("CREATE DATABASE {name}"))
            .await
            .unwrap();
        let (server, options) = match server.split_once('?') {
            Some((server, options)) => (server.to_owned(), format!("?{options}")),
            None => (server, String::new()),
        };
        let (before, _) = server.rsplit_once('/').unwrap();
        Some(Cluster {
            worlds: Vec::new(),
            url: format!("{before}/{name}{options}"),
            name,
            admin,
        })
    }

    /// As another process would.
    pub async fn connect(&self) -> Db {
        let few = Connections {
            units: 6,
            lazy: 4,
            reads: 4,
            patience: std::time::Duration::from_secs(30),
            ..Connections::default()
        };
        Db::postgres_with(&self.url, &few).await.unwrap()
    }

    /// The server ends every session, as it does when it restarts.
    pub async fn hang_up(&self) {
        let sql = "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = 'NAME'";
        self.admin
            .execute_unprepared(&sql.replace("NAME", &self.name))
            .await
            .unwrap();
    }

    /// Hangs up everywhere, drops the database, and tells how many deadlocks there were.
    pub async fn end(self) -> i64 {
        for world in &self.worlds {
            world.db().unwrap().close().await;
        }
        let backend = self.admin.get_database_backend();
        let ask = async |sql: &str| {
            let sql = sql.replace("NAME", &self.name);
            let statement = Statement::from_string(backend, sql);
            let row = self.admin.query_one_raw(statement).await.unwrap().unwrap();
            row.try_get_by_index::<i64>(0).unwrap()
        };
        // Its sessions tell their counts when they end.
        while ask("SELECT count(*) FROM pg_stat_activity WHERE datname = 'NAME'").await > 0 {
            tokio::task::yield_now().await;
        }
        let deadlocks = ask("SELECT deadlocks FROM pg_stat_database WHERE datname = 'NAME'").await;
        self.admin
            .execute_unprepared(&format!("DROP DATABASE {} WITH (FORCE)", self.name))
            .await
            .unwrap();
        deadlocks
    }
}
