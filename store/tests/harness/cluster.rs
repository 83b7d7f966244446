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

    /// A number that the server tells, of the database `NAME`.
    pub async fn ask(&self, sql: &str) -> i64 {
        number(&self.admin, &sql.replace("NAME", &self.name)).await
    }

    /// Hangs up everywhere: sessions tell their counts when they end.
    async fn hung_up(&self) {
        for world in &self.worlds {
            world.db().unwrap().close().await;
        }
        let sessions = "SELECT count(*) FROM pg_stat_activity WHERE datname = 'NAME'";
        while self.ask(sessions).await > 0 {
            tokio::task::yield_now().await;
        }
    }

    /// Hangs up everywhere, and tells how many entries of an index were read until then.
    pub async fn read_of(&self, index: &str) -> i64 {
        self.hung_up().await;
        let outside = self.outside().await;
        let sql =
            format!("SELECT idx_tup_read FROM pg_stat_user_indexes WHERE indexrelname = '{index}'");
        let read = number(&outside, &sql).await;
        outside.close().await.unwrap();
        read
    }

    /// A connection that is none of the product's.
    pub async fn outside(&self) -> DatabaseConnection {
        Database::connect(&self.url).await.unwrap()
    }

    /// Hangs up everywhere, drops the database, and tells how many deadlocks there were.
    pub async fn end(self) -> i64 {
        self.hung_up().await;
        let deadlocks = "SELECT deadlocks FROM pg_stat_database WHERE datname = 'NAME'";
        let deadlocks = self.ask(deadlocks).await;
        self.admin
            .execute_unprepared(&format!("DROP DATABASE {} WITH (FORCE)", self.name))
            .await
            .unwrap();
        deadlocks
    }
}

async fn number(connection: &DatabaseConnection, sql: &str) -> i64 {
    let statement = Statement::from_string(connection.get_database_backend(), sql);
    let row = connection.query_one_raw(statement).await.unwrap().unwrap();
    row.try_get_by_index(0).unwrap()
}
