//! What a cluster stands on: a database of its own at `NEENA_TEST_DATABASE_URL`, and a prefix of its own at
//! `NEENA_TEST_AMQP_URL`. Both go when the test does.

use lapin::options::{ExchangeDeleteOptions, QueueDeleteOptions};
use lapin::{Connection, ConnectionProperties};
use sqlx::{Connection as _, Executor, PgConnection};

/// Whether the suite runs on Postgres and RabbitMQ.
pub fn clustered() -> bool {
    std::env::var("NEENA_TEST_STACK").is_ok_and(|stack| stack == "cluster")
}

pub struct Ground {
    admin: String,
    pub database: String,
    pub amqp: String,
    /// The database's name, and the first word of every queue.
    name: String,
}

impl Ground {
    /// An empty database.
    pub fn fresh() -> Ground {
        let url = |name: &str| {
            std::env::var(name).unwrap_or_else(|_| panic!("{name} is not set: see scripts/servers"))
        };
        let admin = url("NEENA_TEST_DATABASE_URL");
        let name = format!("neena_cli_{}", uuid::Uuid::now_v7().simple());
        let ground = Ground {
            database: named(&admin, &name),
            amqp: url("NEENA_TEST_AMQP_URL"),
            admin,
            name,
        };
        let (admin, sql) = (&ground.admin, format!("CREATE DATABASE {}", ground.name));
        on_a_thread(async { execute(admin, &sql).await });
        ground
    }

    /// The settings that lead to it.
    pub fn settings(&self) -> Vec<(String, String)> {
        [
            ("NEENA_DATABASE_URL", self.database.as_str()),
            ("NEENA_AMQP_URL", &self.amqp),
            ("NEENA_AMQP_PREFIX", &self.name),
            (
                "NEENA_MASTER_KEY",
                "a key for tests that is long enough, and no secret",
            ),
        ]
        .map(|(name, value)| (name.to_owned(), value.to_owned()))
        .to_vec()
    }

    /// Runs a statement on the database.
    pub fn execute(&self, sql: &str) {
        on_a_thread(async { execute(&self.database, sql).await });
    }

    /// The number that a query of the database gives.
    pub async fn count(&self, sql: &str) -> i64 {
        let mut connection = PgConnection::connect(&self.database).await.unwrap();
        let query = sqlx::query_scalar(sqlx::AssertSqlSafe(sql));
        let count = query.fetch_one(&mut connection).await;
        let count = count.unwrap_or_else(|error| panic!("{sql}: {error}"));
        connection.close().await.unwrap();
        count
    }
}

impl Drop for Ground {
    fn drop(&mut self) {
        let drop = format!("DROP DATABASE IF EXISTS {} WITH (FORCE)", self.name);
        on_a_thread(async {
            execute(&self.admin, &drop).await;
            forget(&self.amqp, &self.name).await;
        });
    }
}

/// Deletes what does not expire by itself: the queues of workers and of tasks do.
async fn forget(url: &str, prefix: &str) {
    let connection = Connection::connect(url, ConnectionProperties::default());
    let channel = connection.await.unwrap().create_channel().await.unwrap();
    for name in ["runs", "dead"] {
        let queue = format!("{prefix}.{name}");
        let deleted = channel.queue_delete(queue.into(), QueueDeleteOptions::default());
        deleted.await.unwrap();
    }
    for name in ["events", "dead"] {
        let exchange = format!("{prefix}.{name}");
        let deleted = channel.exchange_delete(exchange.into(), ExchangeDeleteOptions::default());
        deleted.await.unwrap();
    }
}

async fn execute(url: &str, sql: &str) {
    let mut connection = PgConnection::connect(url).await.unwrap();
    connection
        .execute(sqlx::AssertSqlSafe(sql))
        .await
        .unwrap_or_else(|error| panic!("{sql}: {error}"));
    connection.close().await.unwrap();
}

/// Not on the test's own runtime, which may be ending, or none.
fn on_a_thread(work: impl Future<Output = ()> + Send) {
    std::thread::scope(|scope| {
        let run = || {
            tokio::runtime::Builder::new_multi_thread()
                .worker_threads(1)
                .enable_all()
                .build()
                .unwrap()
                .block_on(work);
        };
        // What went wrong is told where it did; a drop must not panic on top of it.
        let _ = scope.spawn(run).join();
    });
}

/// The URL with another database's name.
fn named(url: &str, name: &str) -> String {
    let (address, options) = url.split_once('?').unwrap_or((url, ""));
    let (scheme, rest) = address.split_once("://").unwrap();
    let host = rest.split_once('/').map_or(rest, |(host, _)| host);
    let mark = if options.is_empty() { "" } else { "?" };
    format!("{scheme}://{host}/{name}{mark}{options}")
}
