//! Messages, a run to tell of, and a bus that fails as told.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use async_trait::async_trait;
use neena_bus::{Bus, BusError, Inbox, Standing};
use neena_engine::approval::Policy;
use neena_engine::flow::OnFailure;
use neena_engine::ids::{FlowRequestId, OrganizationId, RunId, UserId, WorkerId};
use neena_engine::plan::{Graph, GraphBody, Head, PLAN_V, Plan, RequestCopy};
use neena_engine::run::{Actor, Decision, Say};
use neena_engine::{Hash, Micros};
use neena_store::{Decided, Deciding, MemoryStore, Message, NewRun, Store};
use tokio::sync::mpsc;
use uuid::Uuid;

pub fn message(kind: &str, number: u128) -> Message {
    Message {
        id: Uuid::from_u128(number),
        kind: kind.to_owned(),
        organization: OrganizationId(Uuid::nil()),
        run: RunId(Uuid::from_u128(number)),
        epoch: 0,
        at: Micros(0),
    }
}

pub fn worker(number: u128) -> WorkerId {
    WorkerId(Uuid::from_u128(number))
}

/// Lets every task run until it waits for time to pass.
pub async fn settle() {
    for _ in 0..100 {
        tokio::task::yield_now().await;
    }
}

/// Makes and approves a run; the messages its approval committed.
pub async fn approved(store: &MemoryStore) -> Vec<Message> {
    let organization = OrganizationId(Uuid::nil());
    let run = RunId(Uuid::now_v7());
    let new = NewRun::new(run, FlowRequestId(Uuid::nil()), plan(), None).unwrap();
    store.insert_run(&new);
    let actor = Actor {
        user: UserId(Uuid::nil()),
        email: "a@example.com".into(),
        permissions: vec!["approve".into()],
        way: "rest",
    };
    let decision = Decision::Approve(Say::of_run(actor, None));
    let deciding = Deciding {
        run,
        organization,
        decision,
        code_current: true,
    };
    match store.decide(&deciding).await.unwrap() {
        Decided::Done { outbox, .. } => outbox,
        other => panic!("{other:?}"),
    }
}

fn plan() -> Arc<Plan> {
    let body = GraphBody {
        v: PLAN_V,
        operations: Vec::new(),
        edges: Vec::new(),
        on_failure: OnFailure::Stop,
        timeout_ms: None,
    };
    let graph = Arc::new(Graph::new(&body).unwrap());
    let head = Head {
        v: PLAN_V,
        organization: Uuid::nil(),
        flow: Uuid::nil(),
        flow_name: "empty".into(),
        flow_version: 1,
        graph: graph.hash(),
        request: RequestCopy {
            instructions: "nothing to do".into(),
            name: None,
            metadata: serde_json::Map::new().into(),
        },
        triggered_by: "someone@example.com".into(),
        requester: None,
        author: None,
        policy: Policy::quorum(1),
    };
    let hash = Hash::of(head.text().unwrap().as_bytes());
    Arc::new(Plan { hash, head, graph })
}

/// A bus that keeps what is published, and fails or takes nothing when told so.
#[derive(Debug, Default)]
pub struct Recorder {
    pub published: Mutex<Vec<Message>>,
    pub down: Mutex<bool>,
    /// Takes nothing, and says so.
    pub blocked: Mutex<bool>,
    /// Messages of this type are not confirmed.
    pub unroutable: Mutex<Option<String>>,
    /// How many were published in each call.
    pub calls: Mutex<Vec<usize>>,
}

#[async_trait]
impl Bus for Recorder {
    async fn publish(&self, messages: &[Message]) -> Result<Vec<Uuid>, BusError> {
        if *self.down.lock().unwrap() {
            return Err(BusError("down".into()));
        }
        self.calls.lock().unwrap().push(messages.len());
        let unroutable = self.unroutable.lock().unwrap().clone();
        let taken = messages
            .iter()
            .filter(|message| Some(&message.kind) != unroutable.as_ref());
        let taken: Vec<Message> = taken.cloned().collect();
        let ids = taken.iter().map(|message| message.id).collect();
        self.published.lock().unwrap().extend(taken);
        Ok(ids)
    }

    fn standing(&self) -> Standing {
        match *self.blocked.lock().unwrap() {
            true => Standing::Blocked("as told".into()),
            false => Standing::Up,
        }
    }

    async fn poke(&self, _worker: WorkerId, _run: RunId) {}

    async fn consume(&self, _worker: WorkerId) -> Result<Box<dyn Inbox>, BusError> {
        Err(BusError("nothing to consume".into()))
    }

    async fn pokes(&self, _worker: WorkerId) -> mpsc::Receiver<RunId> {
        mpsc::channel(1).1
    }
}

/// Kinds and counts, for comparing.
pub fn counted(messages: &[Message]) -> BTreeMap<String, usize> {
    let mut counts = BTreeMap::new();
    for message in messages {
        *counts.entry(message.kind.clone()).or_default() += 1;
    }
    counts
}

pub const LEASE: Duration = Duration::from_secs(10);
