//! What a test stands on: SQLite and a bus in process, or, with `NEENA_TEST_STACK=cluster`, Postgres at
//! `NEENA_TEST_DATABASE_URL`, where each test has a database of its own, made from a migrated template, and
//! RabbitMQ at `NEENA_TEST_AMQP_URL`.

use std::collections::hash_map::DefaultHasher;
use std::hash::{Hash, Hasher};
use std::sync::Arc;

use neena_api::catalogue;
use neena_bus::{Bus, InProcess, Rabbit, RabbitConfig};
use neena_store::{Connections, Db, Durability};
use sea_orm::{ConnectionTrait, Database, DatabaseConnection, DbBackend, Statement};
use tempfile::TempDir;
use uuid::Uuid;

const PREFIX: &str = "neena_api_template_";

/// A number nobody else locks: one process makes the template, the others wait for it.
const TEMPLATE: i64 = 0x6e65_656e_6174;

/// Whether the suite runs on Postgres.
pub fn clustered() -> bool {
    std::env::var("NEENA_TEST_STACK").is_ok_and(|stack| stack == "cluster")
}

/// The bus of the stack. Nothing that concerns another test travels on it: no worker of theirs listens, and
/// what wakes workers stays in the outbox. So all share one set of queues.
pub fn bus() -> Arc<dyn Bus> {
    match std::env::var("NEENA_TEST_AMQP_URL") {
        Ok(url) if clustered() => {
            let config = RabbitConfig {
                prefix: "neena-api-tests".to_owned(),
                ..RabbitConfig::new(url)
            };
            Arc::new(Rabbit::start(config).unwrap())
        }
        _ => Arc::new(InProcess::new()),
    }
}

/// A database that goes when the test does.
#[derive(Debug)]
pub enum Ground {
    File(TempDir),
    Server { url: String, name: String },
}

impl Ground {
    /// A fresh database: migrated, with the built-in tasks registered.
    pub async fn fresh() -> Ground {
        if !clustered() {
            let ground = Ground::File(TempDir::new().unwrap());
            let db = ground.open().await;
            prepare(&db).await;
            db.close().await;
            return ground;
        }
        let url = std::env::var("NEENA_TEST_DATABASE_URL").unwrap();
        let name = format!("neena_api_{}", Uuid::now_v7().simple());
        let admin = Database::connect(&url).await.unwrap();
        let template = template(&admin, &url).await;
        run(
            &admin,
            &format!("CREATE DATABASE {name} TEMPLATE {template}"),
        )
        .await;
        admin.close().await.unwrap();
        Ground::Server { url, name }
    }

    /// Opens it, as another process would.
    pub async fn open(&self) -> Db {
        self.open_with(&Connections::default()).await
    }

    /// Opens it with so many connections, where there are any.
    pub async fn open_with(&self, connections: &Connections) -> Db {
        match self {
            Ground::File(dir) => Db::sqlite(&dir.path().join("neena.db"), Durability::Fast)
                .await
                .unwrap(),
            Ground::Server { url, name } => Db::postgres_with(&named(url, name), connections)
                .await
                .unwrap(),
        }
    }

    /// Where it is, if it is on Postgres.
    pub fn url(&self) -> Option<String> {
        match self {
            Ground::File(_) => None,
            Ground::Server { url, name } => Some(named(url, name)),
        }
    }
}

impl Drop for Ground {
    fn drop(&mut self) {
        let Ground::Server { url, name } = self else {
            return;
        };
        let (url, name) = (url.clone(), name.clone());
        let remove = move || {
            let runtime = tokio::runtime::Builder::new_current_thread()
                .enable_all()
                .build()
                .unwrap();
            runtime.block_on(async {
                let admin = Database::connect(&url).await.unwrap();
                run(&admin, &format!("DROP DATABASE {name} WITH (FORCE)")).await;
            });
        };
        // Not on the test's own runtime, which may be ending. A database left behind harms nobody.
        let _ = std::thread::spawn(remove).join();
    }
}

async fn prepare(db: &Db) {
    db.migrate().await.unwrap();
    catalogue::upsert_built_ins(db).await.unwrap();
}

/// The template of this build of the tests, made by whoever comes first.
async fn template(admin: &DatabaseConnection, url: &str) -> String {
    let name = format!("{PREFIX}{:016x}", build());
    if exists(admin, &name).await {
        return name;
    }
    // A session of its own: the lock is given back when it ends.
    let lock = one_session(url).await;
    run(&lock, &format!("SELECT pg_advisory_lock({TEMPLATE})")).await;
    if !exists(&lock, &name).await {
        for old in names(&lock, &format!("{PREFIX}%")).await {
            let _ = lock
                .execute_unprepared(&format!("DROP DATABASE {old}"))
                .await;
        }
        // Under another name until it is whole: a test that was killed here leaves no half template.
        let draft = format!("{name}_draft");
        run(&lock, &format!("DROP DATABASE IF EXISTS {draft}")).await;
        run(&lock, &format!("CREATE DATABASE {draft}")).await;
        let db = Db::postgres(&named(url, &draft)).await.unwrap();
        prepare(&db).await;
        db.close().await;
        run(&lock, &format!("ALTER DATABASE {draft} RENAME TO {name}")).await;
    }
    lock.close().await.unwrap();
    name
}

async fn one_session(url: &str) -> DatabaseConnection {
    let mut options = sea_orm::ConnectOptions::new(url);
    options.max_connections(1).sqlx_logging(false);
    Database::connect(options).await.unwrap()
}

async fn exists(admin: &DatabaseConnection, name: &str) -> bool {
    !names(admin, name).await.is_empty()
}

async fn names(admin: &DatabaseConnection, like: &str) -> Vec<String> {
    let sql = "SELECT datname::text FROM pg_database WHERE datname LIKE $1";
    let statement = Statement::from_sql_and_values(DbBackend::Postgres, sql, [like.into()]);
    let rows = admin.query_all_raw(statement).await.unwrap();
    rows.iter()
        .map(|row| row.try_get_by_index(0).unwrap())
        .collect()
}

async fn run(connection: &DatabaseConnection, sql: &str) {
    connection
        .execute_unprepared(sql)
        .await
        .unwrap_or_else(|error| panic!("{sql}: {error}"));
}

/// Another build may have other migrations.
fn build() -> u64 {
    let file = std::env::current_exe().unwrap().metadata().unwrap();
    let mut hasher = DefaultHasher::new();
    (file.len(), file.modified().unwrap()).hash(&mut hasher);
    hasher.finish()
}

/// The URL with another database's name.
fn named(url: &str, name: &str) -> String {
    let (address, options) = url.split_once('?').unwrap_or((url, ""));
    let (scheme, rest) = address.split_once("://").unwrap();
    let host = rest.split_once('/').map_or(rest, |(host, _)| host);
    let mark = if options.is_empty() { "" } else { "?" };
    format!("{scheme}://{host}/{name}{mark}{options}")
}
