//! Bare writes to the broker: a message to a durable queue, and its confirm.

use std::time::{Duration, Instant};

use anyhow::ensure;
use lapin::options::{BasicPublishOptions, ConfirmSelectOptions, QueueDeclareOptions};
use lapin::types::{AMQPValue, FieldTable};
use lapin::{BasicProperties, Channel, Confirmation, Connection, ConnectionProperties};

use crate::stack::Own;

/// A channel that waits for confirms, and a quorum queue like the one that wakes workers.
pub struct Confirms {
    channel: Channel,
    queue: String,
    _connection: Connection,
}

impl Confirms {
    pub async fn open(own: &Own) -> anyhow::Result<Confirms> {
        let connection =
            Connection::connect(&own.amqp_url, ConnectionProperties::default()).await?;
        let channel = connection.create_channel().await?;
        channel
            .confirm_select(ConfirmSelectOptions::default())
            .await?;
        let queue = format!("{}.bare", own.prefix);
        let mut arguments = FieldTable::default();
        for (name, value) in [("x-queue-type", "quorum"), ("x-overflow", "drop-head")] {
            arguments.insert(name.into(), AMQPValue::LongString(value.into()));
        }
        // Nobody takes them.
        arguments.insert("x-max-length".into(), AMQPValue::LongInt(1_000));
        let options = QueueDeclareOptions {
            durable: true,
            ..QueueDeclareOptions::default()
        };
        channel
            .queue_declare(queue.as_str().into(), options, arguments)
            .await?;
        Ok(Confirms {
            channel,
            queue,
            _connection: connection,
        })
    }

    /// So many messages, each confirmed before the next.
    pub async fn publish(&self, count: u64) -> anyhow::Result<Duration> {
        let began = Instant::now();
        for _ in 0..count {
            let confirm = self
                .channel
                .basic_publish(
                    "".into(),
                    self.queue.as_str().into(),
                    BasicPublishOptions::default(),
                    b"a message of about the size of a wake-up, which carries some ids and nothing else",
                    BasicProperties::default().with_delivery_mode(2),
                )
                .await?
                .await?;
            ensure!(
                matches!(confirm, Confirmation::Ack(_)),
                "the broker did not take a message: {confirm:?}"
            );
        }
        Ok(began.elapsed())
    }
}
