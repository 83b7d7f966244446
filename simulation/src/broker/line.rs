//! One process's line to the broker.

use std::sync::Arc;

use async_trait::async_trait;
use neena_bus::{Bus, BusError, Inbox, Standing, Wake};
use neena_engine::ids::{RunId, WorkerId};
use neena_store::Message;
use tokio::sync::mpsc;
use tokio::time::sleep;
use uuid::Uuid;

use crate::bug::Bug;
use crate::database::pass;
use crate::process::Process;
use crate::world::World;

/// Pokes that may wait for a worker.
const POKES: usize = 64;

/// A line.
#[derive(Debug)]
pub(crate) struct Line {
    world: Arc<World>,
    process: Arc<Process>,
}

impl Line {
    pub fn new(world: Arc<World>, process: Arc<Process>) -> Line {
        Line { world, process }
    }

    fn unreachable(&self) -> Option<BusError> {
        let down = self.world.broker.is_down();
        down.then(|| BusError("the broker is down".into()))
    }

    /// A fault of the weather, with its name.
    fn strikes(&self, per_mille: u64, name: &'static str) -> bool {
        let strikes = self.process.dice.chance(per_mille);
        if strikes {
            self.world.tally(name);
        }
        strikes
    }

    /// The broker took the message; it may come late, twice, out of order or never.
    fn send(&self, message: &Message) {
        self.world
            .held(self.world.checker.lock().published(message));
        if !message.wakes_workers() {
            return;
        }
        let weather = self.world.condition.lock().weather.clone();
        if self.strikes(weather.dropped, "message dropped") {
            return;
        }
        let wake = Wake {
            id: message.id,
            run: message.run,
        };
        let copies = 1 + u32::from(self.strikes(weather.doubled, "message doubled"));
        for _ in 0..copies {
            let back = match self.strikes(weather.reordered, "message reordered") {
                true => self.process.dice.below(4),
                false => 0,
            };
            let back = usize::try_from(back).unwrap_or(0);
            if !self.strikes(weather.delayed, "message delayed") {
                self.world.broker.enqueue(wake.clone(), back);
                continue;
            }
            let (world, wake) = (self.world.clone(), wake.clone());
            let wait = self.process.dice.millis(1, 8_000);
            tokio::spawn(async move {
                sleep(wait).await;
                world.broker.enqueue(wake, back);
            });
        }
    }
}

#[async_trait]
impl Bus for Line {
    async fn publish(&self, messages: &[Message]) -> Result<Vec<Uuid>, BusError> {
        self.process.gate().await;
        pass(self.process.dice.millis(0, 2)).await;
        self.process.gate().await;
        let weather = self.world.condition.lock().weather.clone();
        let failed = self.strikes(weather.publish_failed, "publish failed");
        if let Some(error) = self.unreachable() {
            return match self.world.has(Bug::ConfirmedUnpublished) {
                true => Ok(messages.iter().map(|message| message.id).collect()),
                false => Err(error),
            };
        }
        if failed {
            return Err(BusError("as simulated".into()));
        }
        let mut taken = Vec::with_capacity(messages.len());
        for message in messages {
            if self.strikes(weather.publish_failed, "message not taken") {
                continue;
            }
            self.world.note(|| {
                let number = self.process.number;
                format!("p{number} publish {} {}", message.kind, message.run)
            });
            self.send(message);
            taken.push(message.id);
        }
        match self.strikes(weather.confirm_lost, "confirm lost") {
            true => Err(BusError("no confirm came".into())),
            false => Ok(taken),
        }
    }

    async fn poke(&self, worker: WorkerId, run: RunId) {
        self.process.gate().await;
        let dropped = self.world.condition.lock().weather.poke_dropped;
        let dropped = self.strikes(dropped, "poke dropped");
        if dropped || self.world.has(Bug::SignalsLost) || self.world.broker.is_down() {
            return;
        }
        let listener = self.world.broker.state.lock().pokes.get(&worker).cloned();
        let wait = self.process.dice.millis(0, 20);
        tokio::spawn(async move {
            pass(wait).await;
            if let Some((process, sender)) = listener {
                process.gate().await;
                // A full one, or one that is gone: the next beat says it again.
                let _ = sender.try_send(run);
            }
        });
    }

    async fn consume(&self, _worker: WorkerId) -> Result<Box<dyn Inbox>, BusError> {
        self.process.gate().await;
        let failed = self.world.condition.lock().weather.publish_failed / 4;
        if self.strikes(failed, "no consumer") {
            return Err(BusError("as simulated".into()));
        }
        Ok(Box::new(Consumer {
            world: self.world.clone(),
            process: self.process.clone(),
        }))
    }

    async fn pokes(&self, worker: WorkerId) -> mpsc::Receiver<RunId> {
        let (sender, receiver) = mpsc::channel(POKES);
        let listener = (self.process.clone(), sender);
        self.world
            .broker
            .state
            .lock()
            .pokes
            .insert(worker, listener);
        receiver
    }

    fn standing(&self) -> Standing {
        match self.unreachable() {
            Some(error) => Standing::Down(error.to_string()),
            None => Standing::Up,
        }
    }
}

#[derive(Debug)]
struct Consumer {
    world: Arc<World>,
    process: Arc<Process>,
}

#[async_trait]
impl Inbox for Consumer {
    async fn wakes(&mut self, most: usize) -> Vec<Wake> {
        loop {
            self.process.gate().await;
            let arrived = self.world.broker.arrived.notified();
            let taken: Vec<Wake> = {
                let mut state = self.world.broker.state.lock();
                let count = if state.down {
                    0
                } else {
                    state.ready.len().min(most)
                };
                let taken: Vec<Wake> = state.ready.drain(..count).collect();
                let unacked = state.unacked.entry(self.process.number).or_default();
                unacked.extend(taken.iter().cloned());
                taken
            };
            if !taken.is_empty() {
                return taken;
            }
            arrived.await;
        }
    }

    async fn ack(&mut self, wakes: Vec<Wake>) {
        self.process.gate().await;
        let mut state = self.world.broker.state.lock();
        if let Some(unacked) = state.unacked.get_mut(&self.process.number) {
            unacked.retain(|wake| !wakes.contains(wake));
        }
    }

    async fn release(&mut self, wakes: Vec<Wake>) {
        self.process.gate().await;
        {
            let mut state = self.world.broker.state.lock();
            if let Some(unacked) = state.unacked.get_mut(&self.process.number) {
                unacked.retain(|wake| !wakes.contains(wake));
            }
            for wake in wakes.into_iter().rev() {
                state.ready.push_front(wake);
            }
        }
        self.world.broker.arrived.notify_waiters();
    }
}
