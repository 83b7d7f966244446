//! What is measured on: one machine by itself, or Postgres and RabbitMQ.

use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::Context;
use neena::{Backends, Broker, Database};
use neena_store::Durability;
use sea_orm::{ConnectionTrait, Database as Admin};
use uuid::Uuid;

/// Signs tasks that travel between the processes of one measurement.
pub const MASTER_KEY: &str = "a key for one measurement on one machine only";

/// Which of the two.
#[derive(Clone, Debug)]
pub enum Stack {
    /// SQLite and the bus of one process.
    Embedded(Durability),
    Cluster(Servers),
}

impl Stack {
    /// What figures call it.
    pub fn mode(&self) -> &'static str {
        match self {
            Stack::Embedded(Durability::Full) => "embedded",
            Stack::Embedded(Durability::Fast) => "embedded, durability = \"fast\"",
            Stack::Cluster(_) => "cluster",
        }
    }

    /// A place of its own on this stack. `dir` is on the disk that is to be measured.
    pub async fn place(&self, dir: &Path) -> anyhow::Result<Place> {
        Ok(match self {
            Stack::Embedded(durability) => Place::Embedded {
                dir: dir.to_owned(),
                durability: *durability,
            },
            Stack::Cluster(servers) => Place::Cluster {
                own: servers.own().await?,
                servers: servers.clone(),
            },
        })
    }
}

/// One measurement's part of a stack.
#[derive(Clone, Debug)]
pub enum Place {
    Embedded {
        dir: PathBuf,
        durability: Durability,
    },
    Cluster {
        servers: Servers,
        own: Own,
    },
}

impl Place {
    pub fn backends(&self) -> Backends {
        match self {
            Place::Embedded { dir, durability } => Backends {
                database: Database::Sqlite {
                    path: dir.join("neena.db"),
                    durability: *durability,
                },
                broker: Broker::InProcess,
                wait: Duration::ZERO,
            },
            Place::Cluster { own, .. } => own.backends(),
        }
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

    /// What a process of the product is told about its servers.
    pub fn environment(&self) -> Vec<(&'static str, String)> {
        vec![
            ("NEENA_DATABASE_URL", self.database_url.clone()),
            ("NEENA_AMQP_URL", self.amqp_url.clone()),
            ("NEENA_AMQP_PREFIX", self.prefix.clone()),
            ("NEENA_MASTER_KEY", MASTER_KEY.to_owned()),
        ]
    }
}

/// A folder beside the build, not in a temporary file system that never syncs; gone when dropped.
pub fn folder() -> anyhow::Result<tempfile::TempDir> {
    let target = std::env::current_dir()?.join("target");
    let beside = match target.is_dir() {
        true => target,
        false => std::env::current_dir()?,
    };
    Ok(tempfile::Builder::new()
        .prefix("bench-")
        .tempdir_in(beside)?)
}
