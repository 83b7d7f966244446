//! How messages travel: from the outbox to whoever listens, and to the workers that take runs.
//!
//! Messages are hints. They carry ids and grant nothing: one lost, doubled, late or out of order costs
//! time only, because the database is read again.

mod cloud_event;
mod dead;
mod in_process;
mod keeper;
mod rabbit;
mod relay;
pub mod remote;
mod sealer;

use std::fmt::Debug;

use async_trait::async_trait;
use neena_engine::ids::{RunId, WorkerId};
use neena_store::Message;
use tokio::sync::mpsc;
use uuid::Uuid;

pub use cloud_event::{CloudEvent, NotAMessage};
pub use dead::{DeadLetter, DeadLetters, Replayed, Which};
pub use in_process::InProcess;
pub use keeper::{Keeper, Kept};
pub use rabbit::{Rabbit, RabbitConfig};
pub use relay::Relay;
pub use sealer::Sealer;

/// Why messages did not get through; they stay in the outbox.
#[derive(Clone, Debug, thiserror::Error)]
#[error("the broker is unavailable: {0}")]
pub struct BusError(pub String);

/// A wake-up: a run that a worker may take.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Wake {
    /// The message it came by.
    pub id: Uuid,
    pub run: RunId,
}

/// What carries messages between processes, or within the only one.
#[async_trait]
pub trait Bus: Send + Sync + Debug {
    /// Publishes messages. The ids of those that were taken: the others are to be published again.
    async fn publish(&self, messages: &[Message]) -> Result<Vec<Uuid>, BusError>;

    /// Tells a worker to look at a run it holds. Unconfirmed: the next beat finds the same.
    async fn poke(&self, worker: WorkerId, run: RunId);

    /// Starts taking wake-ups for a worker, in competition with the others.
    async fn consume(&self, worker: WorkerId) -> Result<Box<dyn Inbox>, BusError>;

    /// The pokes meant for a worker; they go on through lost connections, and end when the bus does.
    async fn pokes(&self, worker: WorkerId) -> mpsc::Receiver<RunId>;

    /// Whether messages get through now.
    fn standing(&self) -> Standing {
        Standing::Up
    }
}

/// Whether messages get through.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Standing {
    Up,
    /// Connected, but the broker takes nothing for want of memory or disk.
    Blocked(String),
    /// No connection; made anew as soon as it can be.
    Down(String),
}

/// Where a worker takes its wake-ups.
#[async_trait]
pub trait Inbox: Send + Debug {
    /// Waits for wake-ups and takes up to `most` that are there together. Nothing is lost if the call is
    /// dropped while it waits.
    async fn wakes(&mut self, most: usize) -> Vec<Wake>;

    /// These were claimed, or found taken: they are done.
    async fn ack(&mut self, wakes: Vec<Wake>);

    /// These were not looked at: another worker may have them.
    async fn release(&mut self, wakes: Vec<Wake>);
}
