//! What a test stands on, and goes with it.

use std::sync::Arc;

use neena_bus::remote::TaskBus;
use neena_bus::{Bus, InProcess, Rabbit, RabbitConfig};
use neena_store::{Connections, Db, Durability};
use sea_orm::{ConnectionTrait, Database};
use tempfile::TempDir;
use uuid::Uuid;

/// A database and a bus that only one test uses.
pub enum Ground {
    Machine {
        db: Db,
        bus: InProcess,
        _dir: TempDir,
    },
    Servers {
        admin: String,
        database: String,
        amqp: RabbitConfig,
    },
}

impl Ground {
    pub async fn fresh() -> Ground {
        if std::env::var("NEENA_TEST_STACK").is_ok_and(|stack| stack == "cluster") {
            return Ground::servers().await;
        }
        let dir = TempDir::new().unwrap();
        let db = Db::sqlite(&dir.path().join("neena.db"), Durability::Fast)
            .await
            .unwrap();
        db.migrate().await.unwrap();
        Ground::Machine {
            db,
            bus: InProcess::new(),
            _dir: dir,
        }
    }

    async fn servers() -> Ground {
        let admin = std::env::var("NEENA_TEST_DATABASE_URL").unwrap();
        let name = format!("worker_{}", Uuid::now_v7().simple());
        let connection = Database::connect(&admin).await.unwrap();
        let sql = format!("CREATE DATABASE {name}");
        connection.execute_unprepared(&sql).await.unwrap();
        connection.close().await.unwrap();
        let (base, _) = admin.rsplit_once('/').unwrap();
        let database = format!("{base}/{name}");
        let db = Db::postgres(&database).await.unwrap();
        db.migrate().await.unwrap();
        db.close().await;
        let amqp = RabbitConfig {
            prefix: name,
            master_key: Some("a key that only this test knows of, long enough".to_owned()),
            ..RabbitConfig::new(std::env::var("NEENA_TEST_AMQP_URL").unwrap())
        };
        Ground::Servers {
            admin,
            database,
            amqp,
        }
    }

    /// As another process would open it; on one machine there is only one.
    pub async fn open(&self) -> (Db, Arc<dyn Bus>, Option<Arc<dyn TaskBus>>) {
        match self {
            Ground::Machine { db, bus, .. } => (
                db.clone(),
                Arc::new(bus.clone()),
                Some(Arc::new(bus.clone())),
            ),
            Ground::Servers { database, amqp, .. } => {
                let few = Connections::default();
                let db = Db::postgres_with(database, &few).await.unwrap();
                let bus = Rabbit::start(amqp.clone()).unwrap();
                let tasks = bus.tasks_bus();
                (db, Arc::new(bus), tasks)
            }
        }
    }

    /// Takes the database away; queues expire by themselves or go with the throwaway broker.
    pub async fn clear(self) {
        match self {
            Ground::Machine { db, .. } => db.close().await,
            Ground::Servers {
                admin, database, ..
            } => {
                let (_, name) = database.rsplit_once('/').unwrap();
                let connection = Database::connect(&admin).await.unwrap();
                let sql = format!("DROP DATABASE {name} WITH (FORCE)");
                connection.execute_unprepared(&sql).await.unwrap();
            }
        }
    }
}
