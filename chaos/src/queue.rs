//! The queue of wake-ups, looked at and tampered with from outside.

use std::time::{Duration, Instant};

use anyhow::Context;
use lapin::options::{BasicPublishOptions, QueueDeclareOptions, QueuePurgeOptions};
use lapin::types::FieldTable;
use lapin::{BasicProperties, Channel, Connection};

use crate::site::Site;
use crate::tap::broker;

/// A channel to an installation's queue of wake-ups.
#[derive(Debug)]
pub struct Queue {
    channel: Channel,
    name: String,
    exchange: String,
    _connection: Connection,
}

impl Queue {
    /// Connects to it.
    pub async fn open(site: &Site<'_>) -> anyhow::Result<Queue> {
        let connection = broker(site).await?;
        Ok(Queue {
            channel: connection.create_channel().await?,
            name: format!("{}.runs", site.prefix),
            exchange: format!("{}.events", site.prefix),
            _connection: connection,
        })
    }

    /// Messages that are ready, and consumers.
    pub async fn depth(&self) -> anyhow::Result<(u32, u32)> {
        let passive = QueueDeclareOptions {
            passive: true,
            durable: true,
            ..QueueDeclareOptions::default()
        };
        let queue = self
            .channel
            .queue_declare(self.name.as_str().into(), passive, FieldTable::default())
            .await?;
        Ok((queue.message_count(), queue.consumer_count()))
    }

    /// Waits until it holds so many messages; how many it holds at last.
    pub async fn holds(&self, count: usize, within: Duration) -> anyhow::Result<usize> {
        let began = Instant::now();
        loop {
            let (ready, _) = self.depth().await?;
            if ready as usize >= count || began.elapsed() > within {
                return Ok(ready as usize);
            }
            tokio::time::sleep(Duration::from_millis(100)).await;
        }
    }

    /// All its messages are gone.
    pub async fn purge(&self) -> anyhow::Result<u32> {
        let purged = self
            .channel
            .queue_purge(self.name.as_str().into(), QueuePurgeOptions::default());
        Ok(purged.await?)
    }

    /// Approvals find their way to it no more, until somebody binds it again.
    pub async fn unbind(&self) -> anyhow::Result<()> {
        let unbound = self.channel.queue_unbind(
            self.name.as_str().into(),
            self.exchange.as_str().into(),
            "flow_run.approved".into(),
            FieldTable::default(),
        );
        Ok(unbound.await?)
    }

    /// Puts a message straight into it.
    pub async fn put(&self, body: &[u8], properties: &BasicProperties) -> anyhow::Result<()> {
        self.channel
            .basic_publish(
                "".into(),
                self.name.as_str().into(),
                BasicPublishOptions::default(),
                body,
                properties.clone(),
            )
            .await?;
        Ok(())
    }
}

/// How long until so many consumers listen to the queue, trying to reach the broker again and again.
pub async fn consumed_by(
    site: &Site<'_>,
    consumers: u32,
    within: Duration,
) -> anyhow::Result<Duration> {
    let began = Instant::now();
    loop {
        if let Ok(queue) = Queue::open(site).await
            && let Ok((_, now)) = queue.depth().await
            && now >= consumers
        {
            return Ok(began.elapsed());
        }
        if began.elapsed() > within {
            return Err(anyhow::anyhow!(
                "after {within:?} there are not {consumers} consumers"
            ));
        }
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
}

/// Properties of a message as the program sets them, taken from one of its own.
pub fn like(delivery: &lapin::message::Delivery) -> anyhow::Result<BasicProperties> {
    delivery
        .properties
        .message_id()
        .as_ref()
        .context("a message without an id")?;
    Ok(delivery.properties.clone())
}
