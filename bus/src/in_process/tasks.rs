//! Tasks handed between the workers of one process: the queues are made by those who take from them, and
//! stay when they go, as they do at a broker.

use std::collections::{HashMap, VecDeque};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use async_trait::async_trait;
use neena_engine::ids::WorkerId;
use parking_lot::Mutex;
use tokio::sync::{Notify, mpsc};

use super::InProcess;
use crate::BusError;
use crate::remote::{
    Delivery, Order, RemoteTask, Reply, Sent, Settled, Settling, TaskBus, TaskInbox, TaskQueue,
};

/// Tasks that may wait in one queue; beyond that offering fails.
const WAITING: usize = 10_000;
/// Replies and orders that may wait for a worker.
const LETTERS: usize = 1_024;
/// Dead tasks kept for whoever looks.
const DEAD: usize = 100;

/// The queues of tasks, and the addresses of workers.
#[derive(Debug, Default)]
pub(super) struct Tasks {
    queues: Mutex<HashMap<TaskQueue, VecDeque<Waiting>>>,
    /// Something was offered, came back or was settled.
    changed: Notify,
    replies: Mutex<HashMap<String, mpsc::Sender<Reply>>>,
    orders: Mutex<HashMap<String, mpsc::Sender<Order>>>,
    dead: Mutex<VecDeque<RemoteTask>>,
}

#[derive(Debug)]
struct Waiting {
    task: RemoteTask,
    redelivered: bool,
}

impl InProcess {
    /// The tasks that nobody could run; the newest hundred.
    pub fn dead_tasks(&self) -> Vec<RemoteTask> {
        self.0.tasks.dead.lock().iter().cloned().collect()
    }
}

impl Tasks {
    fn take(&self, from: &[TaskQueue], turn: usize) -> Option<(usize, Waiting)> {
        let mut queues = self.queues.lock();
        let order = (0..from.len()).map(|step| (turn + step) % from.len());
        order
            .filter_map(|at| Some((at, queues.get_mut(from.get(at)?)?.pop_front()?)))
            .next()
    }

    fn put_back(&self, queue: &TaskQueue, task: RemoteTask) {
        let back = Waiting {
            task,
            redelivered: true,
        };
        self.queues
            .lock()
            .entry(queue.clone())
            .or_default()
            .push_front(back);
    }

    fn bury(&self, task: RemoteTask) {
        let mut dead = self.dead.lock();
        if dead.len() >= DEAD {
            dead.pop_front();
        }
        dead.push_back(task);
    }
}

#[async_trait]
impl TaskBus for InProcess {
    fn reply_queue(&self, worker: WorkerId) -> String {
        format!("replies.{worker}")
    }

    fn control_queue(&self, worker: WorkerId) -> String {
        format!("control.{worker}")
    }

    async fn offer(&self, queue: &TaskQueue, task: &RemoteTask) -> Result<Sent, BusError> {
        {
            let mut queues = self.0.tasks.queues.lock();
            let Some(waiting) = queues.get_mut(queue) else {
                return Ok(Sent::Nobody);
            };
            if waiting.len() >= WAITING {
                return Err(BusError(format!("the queue {queue} is full")));
            }
            waiting.push_back(Waiting {
                task: task.clone(),
                redelivered: false,
            });
        }
        self.0.tasks.changed.notify_waiters();
        Ok(Sent::Taken)
    }

    async fn waiting(&self, queue: &TaskQueue) -> Result<Option<u32>, BusError> {
        let queues = self.0.tasks.queues.lock();
        let count = queues.get(queue).map(VecDeque::len);
        Ok(count.map(|count| u32::try_from(count).unwrap_or(u32::MAX)))
    }

    async fn tasks(
        &self,
        _worker: WorkerId,
        queues: &[TaskQueue],
        most: u16,
    ) -> Result<Box<dyn TaskInbox>, BusError> {
        {
            let mut made = self.0.tasks.queues.lock();
            for queue in queues {
                made.entry(queue.clone()).or_default();
            }
        }
        Ok(Box::new(Taker {
            bus: self.clone(),
            queues: queues.to_vec(),
            turn: 0,
            most: most.max(1).into(),
            out: Arc::default(),
        }))
    }

    async fn answer(&self, reply_to: &str, reply: &Reply) -> Result<Sent, BusError> {
        let replies = self.0.tasks.replies.lock();
        let Some(to) = replies.get(reply_to) else {
            return Ok(Sent::Nobody);
        };
        match to.try_send(reply.clone()) {
            Ok(()) => Ok(Sent::Taken),
            Err(mpsc::error::TrySendError::Closed(_)) => Ok(Sent::Nobody),
            Err(mpsc::error::TrySendError::Full(_)) => {
                Err(BusError(format!("the queue {reply_to} is full")))
            }
        }
    }

    async fn replies(&self, worker: WorkerId) -> Result<mpsc::Receiver<Reply>, BusError> {
        let (sender, receiver) = mpsc::channel(LETTERS);
        let mut replies = self.0.tasks.replies.lock();
        replies.retain(|_, sender| !sender.is_closed());
        replies.insert(self.reply_queue(worker), sender);
        Ok(receiver)
    }

    async fn order(&self, control_queue: &str, _integration: &str, order: &Order) {
        let orders = self.0.tasks.orders.lock();
        if let Some(sender) = orders.get(control_queue) {
            // Whoever does not listen is not waited for.
            let _ = sender.try_send(order.clone());
        }
    }

    async fn orders(&self, worker: WorkerId) -> mpsc::Receiver<Order> {
        let (sender, receiver) = mpsc::channel(LETTERS);
        let mut orders = self.0.tasks.orders.lock();
        orders.retain(|_, sender| !sender.is_closed());
        orders.insert(self.control_queue(worker), sender);
        receiver
    }
}

/// Takes tasks from some queues, in turn.
#[derive(Debug)]
struct Taker {
    bus: InProcess,
    queues: Vec<TaskQueue>,
    turn: usize,
    most: usize,
    /// Handed out and not settled.
    out: Arc<AtomicUsize>,
}

impl Taker {
    fn take(&mut self) -> Option<Delivery> {
        if self.out.load(Ordering::Acquire) >= self.most {
            return None;
        }
        let (at, Waiting { task, redelivered }) = self.bus.0.tasks.take(&self.queues, self.turn)?;
        self.turn = at + 1;
        self.out.fetch_add(1, Ordering::AcqRel);
        let (settling, settled) = Settling::new();
        let (bus, out) = (self.bus.clone(), Arc::clone(&self.out));
        let (queue, copy) = (self.queues.get(at).cloned()?, task.clone());
        tokio::spawn(async move {
            let tasks = &bus.0.tasks;
            match settled.await {
                Ok(Settled::Done) => {}
                Ok(Settled::Dead) => tasks.bury(copy),
                Ok(Settled::Back) | Err(_) => tasks.put_back(&queue, copy),
            }
            out.fetch_sub(1, Ordering::AcqRel);
            tasks.changed.notify_waiters();
        });
        Some(Delivery {
            task,
            redelivered,
            settling,
        })
    }
}

#[async_trait]
impl TaskInbox for Taker {
    async fn next(&mut self) -> Delivery {
        let bus = self.bus.clone();
        loop {
            let changed = bus.0.tasks.changed.notified();
            tokio::pin!(changed);
            // From here on nothing is missed.
            changed.as_mut().enable();
            if let Some(delivery) = self.take() {
                return delivery;
            }
            changed.await;
        }
    }

    /// Nothing waits here: each call of `next` looks into the queues itself.
    async fn pause(&mut self) {}
}
