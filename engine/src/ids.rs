//! Newtype ids: one kind of id cannot be passed where another is meant.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};
use uuid::Uuid;

macro_rules! ids {
    ($($(#[$doc:meta])* $name:ident),* $(,)?) => {$(
        $(#[$doc])*
        #[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
        #[serde(transparent)]
        pub struct $name(pub Uuid);

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                self.0.fmt(f)
            }
        }

        impl fmt::Debug for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                write!(f, "{}({})", stringify!($name), self.0)
            }
        }

        impl FromStr for $name {
            type Err = uuid::Error;
            fn from_str(text: &str) -> Result<Self, Self::Err> {
                text.parse().map($name)
            }
        }

        impl From<Uuid> for $name {
            fn from(id: Uuid) -> Self {
                $name(id)
            }
        }

        impl From<$name> for Uuid {
            fn from(id: $name) -> Uuid {
                id.0
            }
        }
    )*};
}

ids! {
    /// One claim call of a worker. Fences every write of the owner; never used twice.
    ClaimId,
    /// A flow: the definition of work.
    FlowId,
    /// A request that a flow be run.
    FlowRequestId,
    /// An integration: a named group of task definitions.
    IntegrationId,
    /// A tenant.
    OrganizationId,
    /// One execution of a flow.
    RunId,
    /// A kind of task that flows can use.
    TaskDefinitionId,
    /// One operation's execution within a run.
    TaskRunId,
    /// A person or program that calls the API.
    UserId,
    /// One incarnation of a worker: a process start.
    WorkerId,
}

impl TaskRunId {
    /// The id of one operation's (and item's) task run: derived, so that a worker that takes over
    /// gives the same task run the same id. A UUIDv8 of a SHA-256 of its parts.
    pub fn of(run: RunId, index: u32, item: Option<u32>) -> TaskRunId {
        let mut hasher = Sha256::new();
        hasher.update(run.0.as_bytes());
        hasher.update(index.to_be_bytes());
        hasher.update(item.map_or(-1, i64::from).to_be_bytes());
        let digest: [u8; 32] = hasher.finalize().into();
        let mut bytes = [0; 16];
        bytes.copy_from_slice(&digest[..16]);
        TaskRunId(uuid::Builder::from_custom_bytes(bytes).into_uuid())
    }
}
