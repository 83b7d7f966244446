//! The wake-ups of a worker. It consumes only while it waits for some: when it has not asked for a fifth of a
//! second its consumer is cancelled, and what was delivered to it and not handed out goes back to the queue.

use std::collections::HashMap;
use std::time::Duration;

use async_trait::async_trait;
use futures_util::future::join_all;
use lapin::message::Delivery;
use neena_store::Message;
use uuid::Uuid;

use super::intake::{Arrival, Intake, Settle};
use crate::{CloudEvent, Inbox, Wake};

/// How long a worker that asks no more is still delivered to.
const IDLE: Duration = Duration::from_millis(200);
/// Wake-ups that are out to one worker at once: as many as it asks for, within these bounds. A worker with one
/// free slot has the next one free before long.
const FEW: u16 = 4;
const MANY: u16 = 64;

/// The inbox of a worker.
#[derive(Debug)]
pub(super) struct Wakes {
    intake: Intake<Wake>,
    /// Handed out and neither acknowledged nor released; a message may come twice.
    out: HashMap<Uuid, Vec<Arrival<Wake>>>,
}

impl Wakes {
    pub(super) fn new(intake: Intake<Wake>) -> Wakes {
        Wakes {
            intake,
            out: HashMap::new(),
        }
    }

    async fn settle(&mut self, wakes: Vec<Wake>, how: Settle) {
        let mut arrivals = Vec::with_capacity(wakes.len());
        for wake in wakes {
            if let Some(out) = self.out.get_mut(&wake.id) {
                arrivals.extend(out.pop());
                if out.is_empty() {
                    self.out.remove(&wake.id);
                }
            }
        }
        join_all(arrivals.into_iter().map(|arrival| arrival.settle(how))).await;
    }
}

/// Says when waiting ended.
struct Waiting<'a>(&'a Intake<Wake>);

impl Drop for Waiting<'_> {
    fn drop(&mut self) {
        self.0.linger(IDLE);
    }
}

#[async_trait]
impl Inbox for Wakes {
    async fn wakes(&mut self, most: usize) -> Vec<Wake> {
        let out = u16::try_from(most).unwrap_or(MANY).clamp(FEW, MANY);
        self.intake.want(out);
        let arrivals = {
            let _waiting = Waiting(&self.intake);
            self.intake.next(most.max(1)).await
        };
        let wakes = arrivals.iter().map(|arrival| arrival.item.clone());
        let wakes = wakes.collect();
        for arrival in arrivals {
            self.out.entry(arrival.item.id).or_default().push(arrival);
        }
        wakes
    }

    async fn ack(&mut self, wakes: Vec<Wake>) {
        self.settle(wakes, Settle::Done).await;
    }

    async fn release(&mut self, wakes: Vec<Wake>) {
        self.settle(wakes, Settle::Back).await;
    }
}

/// Reads a wake-up.
pub(super) fn read(delivery: &Delivery) -> Result<Wake, String> {
    let event = CloudEvent::parse(&delivery.data).map_err(|error| error.to_string())?;
    let message = Message::from(event);
    match message.wakes_workers() {
        true => Ok(Wake {
            id: message.id,
            run: message.run,
        }),
        false => Err(format!("{:?} wakes no worker", message.kind)),
    }
}
