//! A listener on the broker that hears every life-cycle message, as a subscriber outside would.

use std::collections::HashMap;
use std::sync::Arc;

use futures_util::StreamExt;
use lapin::options::{BasicAckOptions, BasicConsumeOptions, QueueBindOptions, QueueDeclareOptions};
use lapin::types::FieldTable;
use lapin::{Connection, ConnectionProperties};
use parking_lot::Mutex;
use serde_json::Value;
use uuid::Uuid;

use crate::site::Site;

/// Messages by run and kind: the id and the time of each.
type Heard = HashMap<(Uuid, String), Vec<(Uuid, i64)>>;

/// The listener; ends when dropped.
#[derive(Debug)]
pub struct Tap {
    heard: Arc<Mutex<Heard>>,
    task: tokio::task::JoinHandle<()>,
    _connection: Connection,
}

/// A connection to the broker of our own.
pub async fn broker(site: &Site<'_>) -> anyhow::Result<Connection> {
    Ok(Connection::connect(&site.amqp, ConnectionProperties::default()).await?)
}

impl Tap {
    /// Listens to the events of an installation whose processes have started.
    pub async fn open(site: &Site<'_>) -> anyhow::Result<Tap> {
        let connection = broker(site).await?;
        let channel = connection.create_channel().await?;
        let queue = format!("{}.tap", site.prefix);
        let durable = QueueDeclareOptions {
            durable: true,
            ..QueueDeclareOptions::default()
        };
        channel
            .queue_declare(queue.as_str().into(), durable, FieldTable::default())
            .await?;
        let exchange = format!("{}.events", site.prefix);
        channel
            .queue_bind(
                queue.as_str().into(),
                exchange.as_str().into(),
                "flow_run.#".into(),
                QueueBindOptions::default(),
                FieldTable::default(),
            )
            .await?;
        let mut consumer = channel
            .basic_consume(
                queue.as_str().into(),
                "tap".into(),
                BasicConsumeOptions::default(),
                FieldTable::default(),
            )
            .await?;
        let heard: Arc<Mutex<Heard>> = Arc::default();
        let hears = heard.clone();
        let task = tokio::spawn(async move {
            while let Some(Ok(delivery)) = consumer.next().await {
                if let Some((key, id)) = read(&delivery.data) {
                    hears
                        .lock()
                        .entry(key)
                        .or_default()
                        .push((id, crate::sink::now()));
                }
                if delivery.ack(BasicAckOptions::default()).await.is_err() {
                    return;
                }
            }
        });
        Ok(Tap {
            heard,
            task,
            _connection: connection,
        })
    }

    /// What was heard so far.
    pub fn heard(&self) -> Heard {
        self.heard.lock().clone()
    }
}

impl Drop for Tap {
    fn drop(&mut self) {
        self.task.abort();
    }
}

/// Run, kind and id of a message.
pub fn read(body: &[u8]) -> Option<((Uuid, String), Uuid)> {
    let event: Value = serde_json::from_slice(body).ok()?;
    let run = event["subject"].as_str()?.parse().ok()?;
    let kind = event["type"].as_str()?.to_owned();
    Some(((run, kind), event["id"].as_str()?.parse().ok()?))
}
