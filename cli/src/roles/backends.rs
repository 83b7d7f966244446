//! From options to what a process stands on.

use anyhow::{Context, ensure};
use neena::{Backends, Broker, Database};

use super::seconds;
use crate::config::{BrokerOptions, DatabaseOptions};

/// Shortest master key.
const KEY: usize = 32;

/// Postgres and RabbitMQ, which the processes of many machines share: both have to be named. `name` is what the
/// process is called at the broker.
pub(super) fn shared(
    database: &DatabaseOptions,
    options: &BrokerOptions,
    name: String,
) -> anyhow::Result<Backends> {
    let url = database
        .database_url
        .as_ref()
        .context("give the database with --database-url or NEENA_DATABASE_URL")?;
    ensure!(
        options.amqp_url.is_some(),
        "give the broker with --amqp-url or NEENA_AMQP_URL"
    );
    Ok(Backends {
        database: Database::Postgres {
            url: url.expose().to_owned(),
        },
        broker: broker(options, name)?,
        wait: seconds(database.wait_seconds),
    })
}

/// The broker that is named, else the memory of the process.
pub(super) fn broker(options: &BrokerOptions, name: String) -> anyhow::Result<Broker> {
    let master_key = options
        .master_key
        .as_ref()
        .map(|key| key.expose().to_owned());
    ensure!(
        master_key
            .as_ref()
            .is_none_or(|key| key.chars().count() >= KEY),
        "NEENA_MASTER_KEY: it is shorter than {KEY} characters"
    );
    Ok(match &options.amqp_url {
        Some(url) => Broker::Rabbit {
            url: url.expose().to_owned(),
            prefix: options.amqp_prefix.clone(),
            master_key,
            name,
        },
        None => Broker::InProcess,
    })
}
