//! Who else hosts what: read with each beat.

use std::collections::BTreeMap;
use std::sync::Arc;

use neena_bus::remote::TaskQueue;
use neena_engine::flow::Kind;
use neena_engine::ids::WorkerId;
use neena_engine::plan::Operation;
use neena_store::{Hosts, Member};
use tracing::debug;

use crate::Shared;

/// Tasks out at once per slot that others have: one runs, one waits.
const OUT_PER_SLOT: usize = 2;
/// Tasks of an integration that workers outside may have at once; their slots are not known.
const OUT_OUTSIDE: usize = 64;

/// The other workers that are alive, as far as tasks can be sent to them.
#[derive(Debug, Default)]
pub(crate) struct Roster {
    /// Slots of the others, by the code they host.
    slots: BTreeMap<TaskQueue, usize>,
}

impl Roster {
    fn of(members: &[Member], me: WorkerId) -> Roster {
        let mut slots: BTreeMap<TaskQueue, usize> = BTreeMap::new();
        for member in members.iter().filter(|member| member.id != me) {
            for queue in queues(&member.hosts) {
                *slots.entry(queue).or_default() += member.slots as usize;
            }
        }
        Roster { slots }
    }

    /// Whether another worker hosts it.
    pub fn hosts(&self, queue: &TaskQueue) -> bool {
        self.slots.contains_key(queue)
    }
}

/// The queues of what is hosted.
pub(super) fn queues(hosts: &Hosts) -> impl Iterator<Item = TaskQueue> + '_ {
    hosts.iter().flat_map(|(integration, digests)| {
        digests.iter().map(|digest| TaskQueue {
            integration: integration.clone(),
            digest: Some(digest.clone()),
        })
    })
}

/// The queue that tasks of this operation are sent to.
pub(crate) fn queue_of(operation: &Operation) -> TaskQueue {
    TaskQueue {
        integration: operation.integration.clone(),
        digest: (operation.kind != Kind::External).then(|| operation.code_digest.clone()),
    }
}

impl Shared {
    /// Reads who is there, and how many tasks they may have from here.
    pub(crate) async fn refresh_roster(&self) {
        if self.remote.is_none() {
            return;
        }
        match self.store.roster().await {
            Ok(members) => {
                let roster = Roster::of(&members, self.id());
                let limit =
                    |(queue, slots): (&TaskQueue, &usize)| (queue.clone(), slots * OUT_PER_SLOT);
                self.slots.allow(roster.slots.iter().map(limit));
                *self.roster.lock() = Arc::new(roster);
            }
            Err(problem) => debug!(%problem, "the roster could not be read"),
        }
    }

    /// Whether tasks of this operation can run in another process.
    pub(crate) fn elsewhere(&self, operation: &Operation) -> Option<TaskQueue> {
        self.remote.as_ref()?;
        let queue = queue_of(operation);
        if operation.kind == Kind::External {
            self.slots.open(&queue, OUT_OUTSIDE);
            return Some(queue);
        }
        self.roster.lock().hosts(&queue).then_some(queue)
    }

    /// Whether a queue for workers outside is there: somebody once took tasks from it.
    pub(crate) async fn has_queue(&self, queue: &TaskQueue) -> bool {
        match &self.remote {
            // A broker that cannot say is no reason to let the run wait.
            Some(remote) => !matches!(remote.bus().waiting(queue).await, Ok(None)),
            None => false,
        }
    }
}
