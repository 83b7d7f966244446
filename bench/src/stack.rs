//! What is measured on: one machine by itself, or Postgres and RabbitMQ.

use std::path::Path;
use std::time::Duration;

use anyhow::Context;
use neena::{Backends, Broker, Database};
use neena_store::Durability;
use sea_orm::{ConnectionTrait, Database as Admin};
use uuid::Uuid;

/// Signs tasks that travel between the processes of one measurement.
pub const MASTER_KEY: &str = "a key for one measurement on one machine only";

/// SQLite in this folder, and the bus of one process.
pub fn embedded(dir: &Path) -> Backends {
    Backends {
        database: Database::Sqlite {
            path: dir.join("neena.db"),
            durability: Durability::Full,
        },
        broker: Broker::InProcess,
        wait: Duration::ZERO,
    }
}

/// Servers on which each measurement makes a database and queues of its own.
#[derive(Clone, Debug)]
pub struct Servers {
    pub database_url: String,
    pub amqp_url: String,
}

/// One measurement's part of the servers.
#[derive(Clone, Debug)]
pub struct Own {
    pub database_url: String,
    pub amqp_url: String,
    pub prefix: String,
}

impl Servers {
    /// Those that tests use, where there are some.
    #[cfg(test)]
    pub fn of_tests() -> Option<Servers> {
        Some(Servers {
            database_url: std::env::var("NEENA_TEST_DATABASE_URL").ok()?,
            amqp_url: std::env::var("NEENA_TEST_AMQP_URL").ok()?,
        })
    }

    /// A database and queues that nobody else uses. They go with the throwaway servers.
    pub async fn own(&self) -> anyhow::Result<Own> {
        let prefix = format!("bench_{}", Uuid::now_v7().simple());
        let admin = Admin::connect(self.database_url.clone()).await?;
        admin
            .execute_unprepared(&format!("CREATE DATABASE {prefix}"))
            .await?;
        admin.close().await?;
        let (base, _) = self
            .database_url
            .rsplit_once('/')
            .context("the database's address names no database")?;
        Ok(Own {
            database_url: format!("{base}/{prefix}"),
            amqp_url: self.amqp_url.clone(),
            prefix,
        })
    }
}

impl Own {
    pub fn backends(&self) -> Backends {
        Backends {
            database: Database::Postgres {
                url: self.database_url.clone(),
            },
            broker: Broker::Rabbit {
                name: "neena-bench".to_owned(),
                url: self.amqp_url.clone(),
                prefix: self.prefix.clone(),
                master_key: Some(MASTER_KEY.to_owned()),
            },
            wait: Duration::from_secs(10),
        }
    }
}
