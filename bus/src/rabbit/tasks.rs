//! Tasks between workers by way of the broker. Every message is signed when it is sent and checked when it is
//! read; what is not signed as it should be goes to the dead letters.

use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use lapin::ErrorKind;
use lapin::message::Delivery as Raw;
use lapin::options::QueueDeclareOptions;
use lapin::protocol::{AMQPErrorKind, AMQPSoftError};
use lapin::types::FieldTable;
use neena_engine::ids::WorkerId;
use tokio::sync::{Semaphore, mpsc};
use tokio_util::task::TaskTracker;
use uuid::Uuid;

use super::Rabbit;
use super::control::LETTERS;
use super::intake::{Intake, Settle, Source};
use super::publisher::{Fate, Letter};
use super::topology;
use super::trouble::{Trouble, answered, short};
use super::wire;
use crate::BusError;
use crate::remote::{
    Delivery, Order, RemoteTask, Reply, Sent, Settled, Settling, TASK_V, TaskBus, TaskInbox,
    TaskKeys, TaskQueue,
};

/// How long a worker that begins to take tasks waits for its queues to be made.
const BEGIN: Duration = Duration::from_secs(5);
/// Replies taken from the broker together.
const REPLIES: u16 = 256;

/// The tasks of a bus that has keys to sign them with.
#[derive(Debug)]
pub(super) struct RabbitTasks {
    pub(super) rabbit: Rabbit,
    pub(super) keys: TaskKeys,
}

impl RabbitTasks {
    async fn send(&self, letter: Letter) -> Result<Sent, BusError> {
        match self.rabbit.0.letters.publish_one(letter).await {
            Fate::Taken => Ok(Sent::Taken),
            Fate::Returned => Ok(Sent::Nobody),
            Fate::Failed(why) => Err(BusError(why)),
        }
    }
}

#[async_trait]
impl TaskBus for RabbitTasks {
    fn reply_queue(&self, worker: WorkerId) -> String {
        self.rabbit.0.names.replies(worker)
    }

    fn control_queue(&self, worker: WorkerId) -> String {
        self.rabbit.0.names.control(worker)
    }

    async fn offer(&self, queue: &TaskQueue, task: &RemoteTask) -> Result<Sent, BusError> {
        let body = serde_json::to_vec(task).map_err(|error| BusError(error.to_string()))?;
        let queue = short(&self.rabbit.0.names.tasks(queue))?;
        let properties = wire::properties(task.dispatch, "task")
            .with_correlation_id(task.dispatch.to_string().into())
            .with_reply_to(short(&task.reply_to)?);
        let integration = &task.integration;
        let letter = wire::signed(
            &self.keys,
            integration,
            queue,
            properties,
            task.dispatch,
            body,
        );
        self.send(letter).await
    }

    async fn waiting(&self, queue: &TaskQueue) -> Result<Option<u32>, BusError> {
        let open = self.rabbit.0.consuming.now().map_err(BusError)?;
        // Asking for a queue that is not there closes the channel.
        let channel = open.channel().await?;
        let name = short(&self.rabbit.0.names.tasks(queue))?;
        let options = QueueDeclareOptions::default().passive();
        let asked = channel.queue_declare(name, options, FieldTable::default());
        match answered("queue.declare", asked).await {
            Ok(queue) => Ok(Some(queue.message_count())),
            Err(Trouble::Amqp(error)) if not_found(&error) => Ok(None),
            Err(trouble) => {
                open.judge(&trouble);
                Err(trouble.into())
            }
        }
    }

    async fn tasks(
        &self,
        _worker: WorkerId,
        queues: &[TaskQueue],
        most: u16,
    ) -> Result<Box<dyn TaskInbox>, BusError> {
        let names = queues.iter().map(|queue| self.rabbit.0.names.tasks(queue));
        let keys = self.keys.clone();
        let read = move |raw: &Raw| read_task(&keys, raw);
        let most = most.max(1);
        let inbox = Inbox {
            intake: self.rabbit.0.intake(Source::Tasks(names.collect()), read),
            most,
            room: Arc::new(Semaphore::new(most.into())),
            tracker: self.rabbit.0.tracker.clone(),
        };
        inbox.intake.want(most);
        // The queues exist when this returns, unless the broker is away: then they are made when it is back.
        let _ = tokio::time::timeout(BEGIN, inbox.intake.taking()).await;
        Ok(Box::new(inbox))
    }

    async fn answer(&self, reply_to: &str, reply: &Reply) -> Result<Sent, BusError> {
        let body = serde_json::to_vec(reply).map_err(|error| BusError(error.to_string()))?;
        let id = Uuid::new_v4();
        let (kind, dispatch) = match reply {
            Reply::Accepted(accepted) => ("accepted", Some(accepted.dispatch)),
            Reply::Beat(_) => ("beat", None),
            Reply::Done(done) => ("done", Some(done.dispatch)),
        };
        let mut properties = wire::properties(id, kind);
        if let Some(dispatch) = dispatch {
            properties = properties.with_correlation_id(dispatch.to_string().into());
        }
        let queue = short(reply_to)?;
        let integration = reply.integration();
        self.send(wire::signed(
            &self.keys,
            integration,
            queue,
            properties,
            id,
            body,
        ))
        .await
    }

    async fn replies(&self, worker: WorkerId) -> Result<mpsc::Receiver<Reply>, BusError> {
        let (sender, receiver) = mpsc::channel(LETTERS);
        let keys = self.keys.clone();
        let source = Source::Letters(self.rabbit.0.names.replies(worker));
        let intake = self
            .rabbit
            .0
            .intake(source, move |raw| read_reply(&keys, raw));
        intake.want(REPLIES);
        let _ = tokio::time::timeout(BEGIN, intake.taking()).await;
        self.rabbit.0.spawn(async move {
            loop {
                let replies = tokio::select! {
                    biased;
                    () = sender.closed() => return,
                    replies = intake.next(REPLIES.into()) => replies,
                };
                for reply in replies {
                    if sender.send(reply.item.clone()).await.is_err() {
                        return;
                    }
                    reply.settle(Settle::Done).await;
                }
            }
        });
        Ok(receiver)
    }

    async fn order(&self, control_queue: &str, integration: &str, order: &Order) {
        let (Ok(body), Ok(queue)) = (serde_json::to_vec(order), short(control_queue)) else {
            return tracing::warn!(control_queue, "an order could not be sent");
        };
        let id = Uuid::new_v4();
        let kind = match order {
            Order::Permit { .. } => "permit",
            Order::Stop { .. } => "stop",
        };
        let properties = wire::properties(id, kind);
        let letter = wire::signed(&self.keys, integration, queue, properties, id, body);
        self.rabbit.0.letters.toss(letter);
    }

    async fn orders(&self, worker: WorkerId) -> mpsc::Receiver<Order> {
        let (sender, receiver) = mpsc::channel(LETTERS);
        if self.rabbit.0.listeners.orders(worker, sender) {
            self.rabbit.0.listen(worker);
        }
        // The queue exists when this returns, unless the broker is away.
        let made = async {
            let open = self.rabbit.0.consuming.up().await?;
            let channel = open.channel().await.ok()?;
            let name = self.control_queue(worker);
            topology::declare_letters(&channel, &self.rabbit.0.names, &name)
                .await
                .ok()
        };
        let _ = tokio::time::timeout(BEGIN, made).await;
        receiver
    }
}

fn not_found(error: &lapin::Error) -> bool {
    match error.kind() {
        ErrorKind::ProtocolError(error) => {
            matches!(error.kind(), AMQPErrorKind::Soft(AMQPSoftError::NOTFOUND))
        }
        _ => false,
    }
}

fn read_task(keys: &TaskKeys, raw: &Raw) -> Result<RemoteTask, String> {
    let task: RemoteTask = serde_json::from_slice(&raw.data).map_err(|error| error.to_string())?;
    if task.v != TASK_V {
        return Err(format!("a task of version {}", task.v));
    }
    wire::check(keys, &task.integration, raw)?;
    Ok(task)
}

fn read_reply(keys: &TaskKeys, raw: &Raw) -> Result<Reply, String> {
    let reply = Reply::parse(&raw.data).map_err(|error| error.to_string())?;
    wire::check(keys, reply.integration(), raw)?;
    Ok(reply)
}

/// Where a worker takes tasks.
#[derive(Debug)]
struct Inbox {
    intake: Intake<RemoteTask>,
    most: u16,
    /// A permit per task that is out.
    room: Arc<Semaphore>,
    tracker: TaskTracker,
}

#[async_trait]
impl TaskInbox for Inbox {
    async fn next(&mut self) -> Delivery {
        self.intake.want(self.most);
        let (permit, arrival) = loop {
            // It is never closed.
            let Ok(permit) = Arc::clone(&self.room).acquire_owned().await else {
                std::future::pending().await
            };
            if let Some(arrival) = self.intake.next(1).await.pop() {
                break (permit, arrival);
            }
        };
        let (settling, settled) = Settling::new();
        let (task, redelivered) = (arrival.item.clone(), arrival.redelivered);
        self.tracker.spawn(async move {
            let how = match settled.await {
                Ok(Settled::Done) => Settle::Done,
                Ok(Settled::Dead) => Settle::Dead,
                Ok(Settled::Back) | Err(_) => Settle::Back,
            };
            arrival.settle(how).await;
            drop(permit);
        });
        Delivery {
            task,
            redelivered,
            settling,
        }
    }

    async fn pause(&mut self) {
        self.intake.pause().await;
    }
}
