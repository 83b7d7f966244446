//! What is said to one worker: pokes, which grant nothing, and orders, which are signed. Both come by one queue.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use lapin::message::Delivery;
use neena_engine::ids::{RunId, WorkerId};
use parking_lot::Mutex;
use serde::{Deserialize, Serialize};
use tokio::sync::mpsc;

use super::intake::{Intake, Settle};
use super::wire;
use crate::remote::{Order, TaskKeys};

/// Pokes or orders that may wait for a worker.
pub(super) const LETTERS: usize = 1_024;
/// How often somebody who no longer listens is noticed.
const LOOK: Duration = Duration::from_secs(30);
/// Letters handed over together.
const TOGETHER: usize = 64;

/// A worker is to look at a run it holds.
#[derive(Debug, Serialize, Deserialize)]
#[serde(tag = "type", rename = "poke")]
pub(super) struct Poke {
    pub(super) flow_run: RunId,
}

/// A letter to a worker.
#[derive(Debug)]
pub(super) enum Control {
    Poke(RunId),
    Order(Order),
}

/// The workers of this process that listen.
#[derive(Clone, Debug, Default)]
pub(super) struct Listeners(Arc<Mutex<HashMap<WorkerId, Ears>>>);

#[derive(Debug, Default)]
struct Ears {
    pokes: Option<mpsc::Sender<RunId>>,
    orders: Option<mpsc::Sender<Order>>,
}

impl Ears {
    fn deaf(&self) -> bool {
        self.pokes.as_ref().is_none_or(mpsc::Sender::is_closed)
            && self.orders.as_ref().is_none_or(mpsc::Sender::is_closed)
    }
}

impl Listeners {
    /// Pokes of this worker go there; whether it is the first that listens for it.
    pub(super) fn pokes(&self, worker: WorkerId, pokes: mpsc::Sender<RunId>) -> bool {
        let mut listeners = self.0.lock();
        let first = !listeners.contains_key(&worker);
        listeners.entry(worker).or_default().pokes = Some(pokes);
        first
    }

    /// Orders to this worker go there; whether it is the first that listens for it.
    pub(super) fn orders(&self, worker: WorkerId, orders: mpsc::Sender<Order>) -> bool {
        let mut listeners = self.0.lock();
        let first = !listeners.contains_key(&worker);
        listeners.entry(worker).or_default().orders = Some(orders);
        first
    }

    /// Nobody listens any more.
    pub(super) fn clear(&self) {
        self.0.lock().clear();
    }

    /// Hands letters over, for as long as anybody listens.
    pub(super) async fn forward(self, worker: WorkerId, intake: Intake<Control>) {
        intake.want(LETTERS as u16);
        loop {
            let letters = tokio::time::timeout(LOOK, intake.next(TOGETHER)).await;
            for letter in letters.unwrap_or_default() {
                let full = {
                    let listeners = self.0.lock();
                    let ears = listeners.get(&worker);
                    match &letter.item {
                        Control::Poke(run) => hand(ears.and_then(|ears| ears.pokes.as_ref()), *run),
                        Control::Order(order) => {
                            hand(ears.and_then(|ears| ears.orders.as_ref()), order.clone())
                        }
                    }
                };
                if full {
                    tracing::warn!(%worker, "a letter was dropped: too many wait for this worker");
                }
                letter.settle(Settle::Done).await;
            }
            let mut listeners = self.0.lock();
            if listeners.get(&worker).is_none_or(Ears::deaf) {
                listeners.remove(&worker);
                return;
            }
        }
    }
}

/// Hands a letter over if somebody listens; whether there was no room.
fn hand<T>(to: Option<&mpsc::Sender<T>>, letter: T) -> bool {
    let sent = to.map(|to| to.try_send(letter));
    matches!(sent, Some(Err(mpsc::error::TrySendError::Full(_))))
}

/// Reads a letter; orders only with the keys to check them.
pub(super) fn read(keys: Option<&TaskKeys>, delivery: &Delivery) -> Result<Control, String> {
    if let Ok(Poke { flow_run }) = serde_json::from_slice(&delivery.data) {
        return Ok(Control::Poke(flow_run));
    }
    let order: Order = serde_json::from_slice(&delivery.data).map_err(|error| error.to_string())?;
    let keys = keys.ok_or("there is no master key to check orders with")?;
    let integration = wire::header(delivery, wire::INTEGRATION)
        .and_then(|name| std::str::from_utf8(name).ok())
        .ok_or("an order without an integration")?;
    wire::check(keys, integration, delivery)?;
    Ok(Control::Order(order))
}
