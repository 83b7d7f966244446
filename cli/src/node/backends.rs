//! What a process stands on: its database and its bus.

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context, bail};
use neena_bus::remote::TaskBus;
use neena_bus::{Bus, InProcess, Rabbit, RabbitConfig, Standing};
use neena_store::db::{Unreached, reach};
use neena_store::{Db, Durability, StoreError};
use tracing::info;

use super::waiting::{self, Failed};

/// How long the broker may take to say whether it lets us in. It may as well be away: that delays nothing else.
const VERDICT: Duration = Duration::from_secs(2);

/// What carries wake-ups, and what carries single tasks where they travel.
#[derive(Debug)]
pub(super) struct Messages {
    pub bus: Arc<dyn Bus>,
    pub tasks: Option<Arc<dyn TaskBus>>,
    /// To be closed at the end.
    pub rabbit: Option<Rabbit>,
}

/// The database and the bus of a process.
#[derive(Clone, Debug)]
pub struct Backends {
    pub database: Database,
    pub broker: Broker,
    /// How long a server that does not answer is waited for at the start.
    pub wait: Duration,
}

/// Where everything is kept.
#[derive(Clone)]
pub enum Database {
    /// A file of this machine, made if need be. The caller holds the lock that keeps others off it.
    Sqlite {
        path: PathBuf,
        durability: Durability,
    },
    /// A server, at `postgres://…`.
    Postgres { url: String },
}

/// What carries messages.
#[derive(Clone)]
pub enum Broker {
    /// The memory of this process; others find runs in the table.
    InProcess,
    /// RabbitMQ, at `amqp://…`.
    Rabbit {
        url: String,
        /// First word of every exchange and queue.
        prefix: String,
        /// What the keys that sign tasks are derived from; absent: no tasks travel.
        master_key: Option<String>,
        /// What this process is called at the broker.
        name: String,
    },
}

impl Backends {
    /// Opens the database; what its schema is like is not looked at.
    pub async fn open(&self) -> anyhow::Result<Db> {
        match &self.database {
            Database::Sqlite { path, durability } => Db::sqlite(path, *durability)
                .await
                .with_context(|| format!("cannot open {}", path.display())),
            Database::Postgres { url } => {
                let what = format!("the database {}", shown(url));
                waiting::until(&what, self.wait, || connect(url)).await
            }
        }
    }

    /// Starts what carries messages, and single tasks where they travel.
    pub(super) async fn messages(&self) -> anyhow::Result<Messages> {
        match &self.broker {
            Broker::InProcess => Ok(Messages {
                bus: Arc::new(InProcess::new()),
                tasks: None,
                rabbit: None,
            }),
            Broker::Rabbit {
                url,
                prefix,
                master_key,
                name,
            } => {
                let what = format!("the broker {}", shown(url));
                let rabbit = Rabbit::start(RabbitConfig {
                    prefix: prefix.clone(),
                    master_key: master_key.clone(),
                    name: name.clone(),
                    ..RabbitConfig::new(url.clone())
                })
                .with_context(|| format!("{what} cannot be used"))?;
                if let Some(why) = turned_away(&rabbit).await {
                    rabbit.close().await;
                    bail!("{what} cannot be used: {why}");
                }
                if master_key.is_none() {
                    info!("NEENA_MASTER_KEY is not set: tasks run only where their run is held");
                }
                Ok(Messages {
                    bus: Arc::new(rabbit.clone()),
                    tasks: rabbit.tasks_bus(),
                    rabbit: Some(rabbit),
                })
            }
        }
    }
}

/// Why the broker does not let us in, if it says so; one that does not answer is tried again behind the bus.
async fn turned_away(rabbit: &Rabbit) -> Option<String> {
    const CODES: [&str; 2] = ["ACCESS_REFUSED", "NOT_ALLOWED"];
    let answered = async {
        loop {
            match rabbit.standing() {
                Standing::Down(why) if CODES.iter().any(|code| why.contains(code)) => {
                    return Some(why);
                }
                // Before the first answer there is none.
                Standing::Down(why) if why == "not connected yet" => {}
                _ => return None,
            }
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    };
    tokio::time::timeout(VERDICT, answered).await.ok().flatten()
}

async fn connect(url: &str) -> Result<Db, Failed> {
    reach(url).await.map_err(|problem| match problem {
        Unreached::Down(why) => Failed::Now(why),
        Unreached::Wrong(why) => Failed::ForGood(why),
    })?;
    Db::postgres(url).await.map_err(|problem| match problem {
        StoreError::Unavailable(why) | StoreError::Unknown(why) => Failed::Now(why),
        other => Failed::ForGood(other.to_string()),
    })
}

/// A server's address without what is nobody's business: name, password and parameters.
pub fn shown(url: &str) -> String {
    let (scheme, rest) = url.split_once("://").unwrap_or(("", url));
    let rest = rest.split(['?', '#']).next().unwrap_or_default();
    // A password may hold any character that the server's name cannot.
    let place = rest.rsplit_once('@').map_or(rest, |(_, place)| place);
    format!("{scheme}://{place}")
}

impl std::fmt::Debug for Database {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Database::Sqlite { path, durability } => f
                .debug_struct("Sqlite")
                .field("path", path)
                .field("durability", durability)
                .finish(),
            Database::Postgres { url } => write!(f, "Postgres({})", shown(url)),
        }
    }
}

impl std::fmt::Debug for Broker {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Broker::InProcess => f.write_str("InProcess"),
            Broker::Rabbit { url, prefix, .. } => {
                write!(f, "Rabbit({}, {prefix})", shown(url))
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_address_is_shown_without_name_and_password() {
        for (url, seen) in [
            (
                "postgres://u:p@h:5432/neena?sslmode=require",
                "postgres://h:5432/neena",
            ),
            ("postgres://u:p@ss@h/neena", "postgres://h/neena"),
            ("amqp://h", "amqp://h"),
            ("secret@word", "://word"),
        ] {
            assert_eq!(shown(url), seen);
        }
    }

    #[test]
    fn debug_output_holds_no_password() {
        let database = Database::Postgres {
            url: "postgres://neena:hunter2@db/neena".into(),
        };
        let broker = Broker::Rabbit {
            url: "amqp://neena:hunter2@mq".into(),
            prefix: "neena".into(),
            master_key: Some("hunter2".repeat(5)),
            name: "api".into(),
        };
        let said = format!("{database:?} {broker:?}");
        assert!(!said.contains("hunter2"), "{said}");
    }
}
