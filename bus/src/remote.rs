//! Single tasks that travel to another worker, and what comes back: the messages, and the seam that carries them.
//!
//! Unlike a wake-up, a task message is authority to run code: a broker signs and checks each with the key of
//! its integration. A result counts only once the run's owner has recorded it, so a message lost or doubled
//! costs a second execution at most, never a second outcome.

mod sign;

use std::fmt::{self, Debug};

use async_trait::async_trait;
use neena_engine::Json;
use neena_engine::ids::{OrganizationId, RunId, WorkerId};
use serde::{Deserialize, Serialize};
use tokio::sync::{mpsc, oneshot};
use uuid::Uuid;

pub use sign::{MASTER_KEY_LENGTH, ShortKey, TaskKey, TaskKeys};

use crate::{BusError, NotAMessage};

/// The version of these messages.
pub const TASK_V: u32 = 1;

/// Where tasks of one integration wait for whoever runs them.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct TaskQueue {
    pub integration: String,
    /// The code it runs; none for workers outside, which say themselves what they run.
    pub digest: Option<String>,
}

impl fmt::Display for TaskQueue {
    /// `resize@0123456789ab`, or `resize`.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.digest {
            // A hash is told by its beginning; the name and version of a built-in task is told whole.
            Some(digest) if digest.len() == 64 => write!(f, "{}@{digest:.12}", self.integration),
            Some(digest) => write!(f, "{}@{digest}", self.integration),
            None => f.write_str(&self.integration),
        }
    }
}

/// One attempt of a task, for whoever hosts its code.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct RemoteTask {
    pub v: u32,
    /// This sending of the attempt: replies name it, and only the newest one counts.
    pub dispatch: Uuid,
    pub run: RunId,
    pub organization: OrganizationId,
    /// Of the owner's claim; a task of an older one is not run any more.
    pub epoch: i64,
    pub index: u32,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub item: Option<u32>,
    pub attempt: u32,
    /// The same for every attempt of the task: `run:index` or `run:index:item`.
    pub key: String,
    pub integration: String,
    pub method: String,
    pub code_digest: String,
    /// An object: parameter → value.
    pub arguments: Json,
    /// Limit of the attempt, from when it is started.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub timeout_ms: Option<u64>,
    pub repeatable: bool,
    /// Whether it may only start once the owner permits it.
    pub permit: bool,
    /// The queue that takes the replies.
    pub reply_to: String,
}

impl RemoteTask {
    /// Where it is sent: by its code, or by its integration alone for workers outside.
    pub fn queue(&self, outside: bool) -> TaskQueue {
        TaskQueue {
            integration: self.integration.clone(),
            digest: (!outside).then(|| self.code_digest.clone()),
        }
    }
}

/// What an executor says to the owner of the run.
#[derive(Clone, Debug, Serialize)]
#[serde(tag = "type", rename_all = "snake_case")]
pub enum Reply {
    Accepted(Accepted),
    Beat(Beat),
    Done(Done),
}

/// It has the task, and starts it (after the owner's permit, where the task needs one).
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Accepted {
    pub dispatch: Uuid,
    pub integration: String,
    pub executor: String,
    /// The queue that takes [`Order`]s.
    pub control_queue: String,
    pub code_digest: String,
}

/// These are still under way.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Beat {
    pub dispatches: Vec<Uuid>,
    pub integration: String,
    pub executor: String,
}

/// How an attempt ended elsewhere: with a result, or with an error.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Done {
    pub dispatch: Uuid,
    pub integration: String,
    pub run: RunId,
    pub index: u32,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub item: Option<u32>,
    pub attempt: u32,
    pub epoch: i64,
    #[serde(
        default,
        deserialize_with = "present",
        skip_serializing_if = "Option::is_none"
    )]
    pub result: Option<Json>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub error: Option<RemoteError>,
    #[serde(default)]
    pub elapsed_us: u64,
}

/// `null` is a result, too.
fn present<'de, D: serde::Deserializer<'de>>(deserializer: D) -> Result<Option<Json>, D::Error> {
    Json::deserialize(deserializer).map(Some)
}

impl Reply {
    /// Whose key signs it. It counts only for tasks of this integration.
    pub fn integration(&self) -> &str {
        match self {
            Reply::Accepted(accepted) => &accepted.integration,
            Reply::Beat(beat) => &beat.integration,
            Reply::Done(done) => &done.integration,
        }
    }

    /// Reads a body; a result keeps its text as it is.
    pub fn parse(body: &[u8]) -> Result<Reply, NotAMessage> {
        #[derive(Deserialize)]
        struct Kind {
            #[serde(rename = "type")]
            kind: String,
        }
        Ok(match serde_json::from_slice::<Kind>(body)?.kind.as_str() {
            "accepted" => Reply::Accepted(serde_json::from_slice(body)?),
            "beat" => Reply::Beat(serde_json::from_slice(body)?),
            _ => Reply::Done(serde_json::from_slice(body)?),
        })
    }
}

/// Why it failed.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct RemoteError {
    pub code: String,
    pub message: String,
    #[serde(default)]
    pub retryable: bool,
    /// Certain that nothing was done outside: a task that is not repeatable may be tried again.
    #[serde(default)]
    pub before_effect: bool,
}

/// What the owner says to an executor.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "type", rename_all = "snake_case")]
pub enum Order {
    /// It may start. Given once per dispatch.
    Permit { dispatch: Uuid },
    /// Stop this one.
    Stop { dispatch: Uuid, grace_ms: u64 },
}

/// What became of a message.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Sent {
    /// A queue has it.
    Taken,
    /// There is no such queue: nobody hosts the code, or whoever was to hear has gone.
    Nobody,
}

/// A task that was handed to this process.
#[derive(Debug)]
pub struct Delivery {
    pub task: RemoteTask,
    /// Whether it may have been handed out before.
    pub redelivered: bool,
    pub settling: Settling,
}

/// Says what became of a delivery; dropped, the task goes back to its queue.
#[derive(Debug)]
pub struct Settling(oneshot::Sender<Settled>);

/// What became of a delivery.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Settled {
    /// Answered, or nothing is to be answered any more.
    Done,
    /// Not started: somebody else may have it.
    Back,
    /// It cannot be run by anybody: for people to look at.
    Dead,
}

impl Settling {
    /// A delivery's end, and where it is heard of.
    pub fn new() -> (Settling, oneshot::Receiver<Settled>) {
        let (sender, receiver) = oneshot::channel();
        (Settling(sender), receiver)
    }

    /// Tells; whoever handed it out may have lost its connection, and hands it out again.
    pub fn settle(self, how: Settled) {
        let _ = self.0.send(how);
    }
}

/// What carries tasks between workers.
#[async_trait]
pub trait TaskBus: Send + Sync + Debug {
    /// The queue that this worker's replies come to, for [`RemoteTask::reply_to`].
    fn reply_queue(&self, worker: WorkerId) -> String;

    /// The queue that orders to this worker come to, for [`Accepted`].
    fn control_queue(&self, worker: WorkerId) -> String;

    /// Sends a task. `Ok` means confirmed.
    async fn offer(&self, queue: &TaskQueue, task: &RemoteTask) -> Result<Sent, BusError>;

    /// How many tasks wait in a queue that nobody was handed yet; none if there is no such queue.
    async fn waiting(&self, queue: &TaskQueue) -> Result<Option<u32>, BusError>;

    /// Starts taking tasks from these queues, which are made if need be; `most` are out at once.
    async fn tasks(
        &self,
        worker: WorkerId,
        queues: &[TaskQueue],
        most: u16,
    ) -> Result<Box<dyn TaskInbox>, BusError>;

    /// Answers the owner of a run, signed with the key of the reply's integration. `Ok` means confirmed.
    async fn answer(&self, reply_to: &str, reply: &Reply) -> Result<Sent, BusError>;

    /// The replies to this worker's tasks; they go on through lost connections.
    async fn replies(&self, worker: WorkerId) -> Result<mpsc::Receiver<Reply>, BusError>;

    /// Sends an order to an executor, signed with the integration's key. Unconfirmed.
    async fn order(&self, control_queue: &str, integration: &str, order: &Order);

    /// The orders to this worker; they go on through lost connections.
    async fn orders(&self, worker: WorkerId) -> mpsc::Receiver<Order>;
}

/// Where a worker takes tasks.
#[async_trait]
pub trait TaskInbox: Send + Debug {
    /// Waits for the next task. Nothing is lost if the call is dropped while it waits. Lost connections
    /// are made anew behind it.
    async fn next(&mut self) -> Delivery;

    /// Gives back what waits here unseen, and takes nothing until `next` is called again.
    async fn pause(&mut self);
}
